"""The parts of a client's copy that one party of a pipeline holds, and their state on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from splitopt.training.model_parts.averaging import load_state
from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.base import under
from splitopt.training.wire.transport.errors import FrameError

_MODEL, _MOMENTS = "model.", "moments."


def parts_of(own: Copy, places: Sequence[int]) -> Copy:
    """Return the parts at these places of the chain, as a copy that shares their tensors."""
    return replace(
        own,
        parts=[own.parts[place] for place in places],
        roles=tuple(own.roles[place] for place in places),
    )


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


def state_of(held: Copy, whole: bool = False) -> dict[str, Tensor]:
    """Return parameters, buffers and moments of the parts, as tensors that can be sent.

    ``whole`` says whether what training does not change is among them, as whoever has joined needs.
    """
    state, fixed = held.model.state_dict(), frozenset() if whole else held.fixed
    found = {f"{_MODEL}{name}": state[name] for name in names_in(held) if name not in fixed}
    return found | {f"{_MOMENTS}{name}": value for name, value in held.moments().items()}


def load_values(held: Copy, tensors: Mapping[str, Tensor]) -> None:
    """Load parameters and buffers of the same parts by their names; moments stay.

    Raises
    ------
    FrameError
        They are not those of these parts.
    """
    values = {f"{_MODEL}{name}": value for name, value in tensors.items()}
    check_held(held, values)
    load_state(held.model, dict(tensors))


def load_held(held: Copy, tensors: Mapping[str, Tensor]) -> None:
    """Load what `state_of` the same parts gave elsewhere.

    Raises
    ------
    FrameError
        It is not the state of these parts.
    """
    check_held(held, tensors)
    load_state(held.model, under(dict(tensors), _MODEL))
    held.load_moments(under(dict(tensors), _MOMENTS))


def check_held(held: Copy, tensors: Mapping[str, Tensor]) -> None:
    """Raise `FrameError` if tensors are not the state of these parts."""
    state, moments = under(dict(tensors), _MODEL), under(dict(tensors), _MOMENTS)
    own = held.model.state_dict()
    names = set(names_in(held))
    if (
        not names - held.fixed <= set(state) <= names
        or set(state) & held.fixed not in (set(), names & held.fixed)
        or len(state) + len(moments) != len(tensors)
    ):
        raise FrameError("the state of other parts than are held here")
    for name, value in state.items():
        if value.shape != own[name].shape or value.dtype != own[name].dtype:
            raise FrameError(f"a state whose entry {name!r} has another shape or type than here")
    for key, value in moments.items():
        name = key.rpartition(":")[0]
        if name not in state or value.shape not in ((), state[name].shape):
            raise FrameError(f"moments whose entry {key!r} belongs to no parameter here")
