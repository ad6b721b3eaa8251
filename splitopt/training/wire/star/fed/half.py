"""What each of SplitFed's two servers has of the model: its own part, and nothing of the other."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from splitopt.training.model_parts.copies import Copy
from splitopt.training.rounds.halves import Halves
from splitopt.training.schemes.base import Scheme
from splitopt.training.wire.own_parts import forget_others, parts_of

CLIENT_PART, SERVER_PART = 0, 1


def keep_half(scheme: Scheme, place: int, copies: Iterable[Copy] | None = None) -> Halves:
    """Free all tensors of the other part, of the common model and of every copy of it.

    They stay under their names as tensors without a value, so that averages, optimizers and states
    work as they do with both parts; what copies weigh is noted before. ``copies`` are all that
    there are here, by default one for each client.
    """
    halves = Halves(scheme)
    for own in scheme.copies() if copies is None else copies:
        own.weigh()
        forget_others(parts_of(own, (place,)))
    mine = (halves.client, halves.server)[place]
    _forget(scheme.model, mine)
    return halves


def _forget(model: nn.Module, part: nn.Module) -> None:
    inside = {id(value) for value in part.state_dict(keep_vars=True).values()}
    for value in model.state_dict(keep_vars=True).values():
        if id(value) not in inside:
            value.data = value.data.new_empty(0)
