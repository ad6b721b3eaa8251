"""A client of a scheme, and what crosses its cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from splitopt.errors import InputError, TrainingError
from splitopt.training.codecs.base import Codec
from splitopt.training.codecs.crossing import DOWN, UP, Crossing, Way
from splitopt.training.codecs.registry import NONE, make_codec
from splitopt.training.data.batches import Batches
from splitopt.training.model_parts.copies import Cut, Split
from splitopt.training.options import Options
from splitopt.training.privacy.guard import Guard
from splitopt.training.randomness import Stream


@dataclass
class Client:
    """One device with its data; ``cuts`` are the numbers of layers before each cut.

    ``crossing`` is what its activations and gradients become on their way over the cuts; the
    scheme makes it, of the codecs of the options. ``guard`` stands before its parameters where the
    options ask for privacy, and then its batches are private ones. ``codecs`` are the names of
    those that its plan chose, up and down, in place of the options'. ``rank`` is that of its
    adapters, where the plan chose different ones.
    """

    name: str
    batches: Batches
    stream: Stream
    cuts: tuple[int, ...] = ()
    crossing: Crossing = field(default_factory=Crossing)
    guard: Guard | None = None
    codecs: tuple[str, str] | None = None
    rank: int | None = None

    @property
    def samples(self) -> int:
        """Number of its samples."""
        return self.batches.samples


def guard_of(client: Client) -> Guard:
    """Return the guard that a client has where the options ask for privacy."""
    assert client.guard is not None
    return client.guard


def with_codecs(
    clients: Sequence[Client], options: Options, split: Split | Cut | None = None
) -> list[Client]:
    """Return the clients with the codecs of the options at their cuts.

    Where several tensors cross a cut of `split`, each is written by itself.

    Raises
    ------
    InputError
        There are codecs, and nothing of any client is cut; or both the plan and the options choose.
    """
    packed = split.packed if isinstance(split, Split) else {}
    layouts = [
        {place: packed[cut] for place, cut in enumerate(client.cuts) if cut in packed}
        for client in clients
    ]
    if any(client.codecs is not None for client in clients):
        if options.has_codecs:
            field = "codec" if options.up_codec() is not None else "gradient_codec"
            raise InputError.at(
                field, "is chosen for each device by the plan ('precision'); leave it out"
            )
        return [
            replace(client, crossing=Crossing(_planned(client), client.name, client.stream, own))
            for client, own in zip(clients, layouts, strict=True)
        ]
    if not options.has_codecs:  # nor those that the clients had in another scheme
        return [
            replace(client, crossing=Crossing(client=client.name, layouts=own))
            if client.crossing.ways or own
            else client
            for client, own in zip(clients, layouts, strict=True)
        ]
    codecs = {UP: options.up_codec(), DOWN: options.down_codec()}
    if not any(client.cuts for client in clients):
        field = "codec" if codecs[UP] is not None else "gradient_codec"
        raise InputError.at(
            field, "is for what crosses a cut, and no client's model is cut here; leave it out"
        )
    return [
        replace(client, crossing=Crossing(codecs, client.name, client.stream, own))
        for client, own in zip(clients, layouts, strict=True)
    ]


def _planned(client: Client) -> dict[Way, Codec | None]:
    """Return the codecs that a plan chose for a client."""
    up, down = client.codecs or (NONE, NONE)
    return {UP: make_codec(up), DOWN: make_codec(down)}


def finite_loss(loss: Tensor, client: Client) -> float:
    """Return the value of a client's loss.

    Raises
    ------
    TrainingError
        It is not a finite number.
    """
    value = float(loss.detach())
    if not np.isfinite(value):
        raise TrainingError(
            f"the loss of client {client.name} is {value}; lower the learning rate, or look at "
            "that client's data"
        )
    return value
