"""The parts of a client's copy that one party of a pipeline holds, and their state on the wire."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from splitopt.training.model_parts.averaging import load_state
from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.base import under
from splitopt.training.wire.own_parts import names_in
from splitopt.training.wire.transport.errors import FrameError

_MODEL, _MOMENTS = "model.", "moments."


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
