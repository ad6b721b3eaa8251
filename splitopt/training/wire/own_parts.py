"""The parts of a client's copy that one party holds, without what belongs to other parties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.base import Scheme


def parts_of(own: Copy, places: Sequence[int]) -> Copy:
    """Return the parts at these places of the chain, as a copy that shares their tensors.

    Of a device's part alone there is none but the first.
    """
    places = [place for place in places if place < len(own.parts)]
    return replace(
        own,
        parts=[own.parts[place] for place in places],
        roles=tuple(own.roles[place] for place in places),
    )


def copy_of(scheme: Scheme, n: int) -> Copy:
    """Return the copy that has a client's own part; a common model stands before all of them."""
    return scheme.copies()[n - len(scheme.clients)]


def names_in(held: Copy) -> list[str]:
    """Names, in the whole model, of the parameters and buffers that a copy's parts have.

    A tensor of several names (a tied weight) has the first one.
    """
    inside, found = _inside(held), dict[int, str]()
    for name, value in held.model.state_dict(keep_vars=True).items():
        if id(value) in inside:
            found.setdefault(id(value), name)
    return list(found.values())


def _inside(held: Copy) -> set[int]:
    """Return the ids of the parameters and buffers that a copy's parts have."""
    return {
        id(value)
        for part in held.parts
        for value in part.module.state_dict(keep_vars=True).values()
    }


def forget_others(held: Copy) -> None:
    """Free the memory of the parameters and buffers that belong to other parties."""
    own = _inside(held)
    for value in held.model.state_dict(keep_vars=True).values():
        if id(value) not in own:
            value.data = value.data.new_empty(0)


def own_names(scheme: Scheme) -> tuple[str, ...]:
    """Names of those tensors of the common model that are kept here, after `forget_others`."""
    held = scheme.model.state_dict()
    return tuple(name for name, value in held.items() if value.numel())
