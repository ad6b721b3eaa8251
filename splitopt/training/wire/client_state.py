"""The state of a client on the wire: to its device before a round, and back after it.

The trained parameters of the device's part are the model, which a plan pays for. All else is
control: how far the client is in its local epoch, its random numbers, the moments of its
optimizer, the statistics of its layers, and what its messages have left out. The server keeps all
of it between rounds, so that a checkpoint is whole and a device may be a new process in every
round. What training does not change, frozen parameters above all, goes to a device once, when it
has joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from splitopt.training.model_parts.averaging import load_state
from splitopt.training.model_parts.copies import Copy
from splitopt.training.privacy.batches import Exposures
from splitopt.training.schemes.base import Client, under
from splitopt.training.wire.encoded import check_left_out
from splitopt.training.wire.transport.errors import FrameError

Tensors = Mapping[str, Tensor]

CONTROL = ("batches", "stream", "buffers", "moments", "crossing")
"""Kinds of what is control."""
OF_SERVER = ("stream", "crossing")
"""What of it a server gets that has no client part: what it knows of smashed data anyway."""
OF_FED = ("batches", "buffers", "moments")
"""What of it a server gets that has the client parts alone."""
_COUNT = "batches"
"""With privacy a count of batches and nothing else, which whoever accounts for it gets."""
_TELLING = ("buffers", "moments")
"""What tells of a device's part what a masked vector hides; it goes down, and never up."""

_MOST_EXPOSURES = 2**53

_SENDERS = ("up.0",)
"""The device sends activations over its one cut; the server keeps what its gradients leave out."""


def of_server(client: Client) -> tuple[str, ...]:
    """Return which kinds a server without client parts gets: with privacy also what was spent."""
    return (_COUNT, *OF_SERVER) if isinstance(client.batches, Exposures) else OF_SERVER


def of_fed(client: Client) -> tuple[str, ...]:
    """Return which kinds a server gets that has the client parts alone."""
    is_private = isinstance(client.batches, Exposures)
    return tuple(kind for kind in OF_FED if not (is_private and kind == _COUNT))


def kinds_up(kinds: Sequence[str], is_masked: bool) -> tuple[str, ...]:
    """Return which of these kinds go back to a server at the end of a round."""
    return tuple(kind for kind in kinds if not (is_masked and kind in _TELLING))


def parameters_of(own: Copy) -> dict[str, Tensor]:
    """Return the trained parameters of the device's part."""
    named = own.parts[0].module.named_parameters()
    return {name: value.detach() for name, value in named if value.requires_grad}


def _fixed_names(own: Copy) -> set[str]:
    """Return how the device's part calls what of it training does not change."""
    state = own.model.state_dict(keep_vars=True)
    fixed = {id(state[name]) for name in own.fixed}
    inside = own.parts[0].module.state_dict(keep_vars=True)
    return {name for name, value in inside.items() if id(value) in fixed}


def _names_in_part(own: Copy) -> dict[str, str]:
    """Return name in a copy's model -> name in its device's part; noise in a part renames.

    Of several names of one tensor it is the first in the part.
    """
    known: dict[int, str] = {}
    for name, value in own.parts[0].module.state_dict(keep_vars=True).items():
        known.setdefault(id(value), name)
    state = own.model.state_dict(keep_vars=True)
    return {name: known[id(value)] for name, value in state.items() if id(value) in known}


def buffers_of(own: Copy) -> dict[str, Tensor]:
    """Return what the layers of the device's part write besides, such as running statistics."""
    state, fixed = own.parts[0].module.state_dict(keep_vars=True), _fixed_names(own)
    return {
        name: value.detach()
        for name, value in state.items()
        if not (value.requires_grad or name in fixed)
    }


def fixed_of(own: Copy) -> dict[str, Tensor]:
    """Return what of the device's part training does not change."""
    state, fixed = own.parts[0].module.state_dict(), _fixed_names(own)
    return {name: value for name, value in state.items() if name in fixed}


def control_of(client: Client, own: Copy, kinds: Sequence[str] = CONTROL) -> dict[str, Tensor]:
    """Return everything else that the next round of a client depends on, or these kinds of it."""
    device, _ = _moments(own)
    found = {
        "batches": client.batches.state_dict(),
        "stream": client.stream.state_dict(),
        "buffers": buffers_of(own),
        "moments": device,
        "crossing": client.crossing.state_dict(_SENDERS),
    }
    return {
        name: value for kind in kinds for name, value in prefixed(f"{kind}.", found[kind]).items()
    }


def load_model(tensors: Tensors, own: Copy) -> None:
    """Load the parameters of the device's part.

    Raises
    ------
    FrameError
        They are not those of this part.
    """
    expect_like(tensors, parameters_of(own), "the model")
    load_state(own.parts[0].module, tensors)


def load_fixed(tensors: Tensors, own: Copy) -> None:
    """Load what of the device's part training does not change.

    Raises
    ------
    FrameError
        It is not that of this part.
    """
    expect_like(tensors, fixed_of(own), "what is frozen")
    load_state(own.parts[0].module, tensors)


def load_control(
    tensors: Tensors, client: Client, own: Copy, kinds: Sequence[str] = CONTROL
) -> None:
    """Load what `control_of` returned elsewhere, for the same kinds.

    Raises
    ------
    FrameError
        It does not belong to this client.
    """
    found = {kind: under(dict(tensors), f"{kind}.") for kind in kinds}
    if sum(map(len, found.values())) != len(tensors):
        raise FrameError("a state with entries that are unknown")
    for kind in kinds:  # all of them, before any is loaded
        _check(kind, found[kind], client, own)
    for kind in kinds:
        _load(kind, found[kind], client, own)


def expect_like(tensors: Tensors, wanted: Tensors, what: str) -> None:
    """Reject tensors whose names, shapes or types are not those that are wanted."""
    if tensors.keys() != wanted.keys():
        raise FrameError(f"{what} with other entries than it has here")
    for name, value in wanted.items():
        if tensors[name].shape != value.shape or tensors[name].dtype != value.dtype:
            raise FrameError(f"{what} whose entry {name!r} has another shape or type than here")


def prefixed(prefix: str, state: Tensors) -> dict[str, Tensor]:
    """Return tensors with a prefix before their names, which `under` takes away."""
    return {f"{prefix}{name}": value for name, value in state.items()}


def _moments(own: Copy) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Moments of the optimizer of the device's part, by its names, and those of other parts."""
    names = _names_in_part(own)
    device: dict[str, Tensor] = {}
    others: dict[str, Tensor] = {}
    for key, value in own.moments().items():
        name, _, slot = key.rpartition(":")
        if name in names:
            device[f"{names[name]}:{slot}"] = value
        else:
            others[key] = value
    return device, others


def check_batches(state: Tensors, client: Client) -> None:
    """Raise `FrameError` if tensors are no place in a local epoch of a client."""
    own = client.batches.state_dict()
    if state.keys() != own.keys():
        raise FrameError("a walk through the data with other entries than it has here")
    if isinstance(client.batches, Exposures):  # a count alone: the walk is the device's secret
        expect_like(state, own, "the exposures")
        if not 0 <= int(state["exposures"]) <= _MOST_EXPOSURES:
            raise FrameError("exposures that are no count")
        return
    order, place = state["order"], state["next"]
    fine = (
        state["generator"].shape == own["generator"].shape
        and state["generator"].dtype == torch.uint8
        and order.dtype == place.dtype == torch.int64
        and order.shape in ((0,), (client.samples,))
        and place.dim() == 0
        and (not len(order) or 0 <= int(order.min()) <= int(order.max()) < client.samples)
        and int(place) >= 0
    )
    if not fine:
        raise FrameError("a walk through the data that is none of this client's")


def _check_moments(moments: Tensors, own: Copy) -> None:
    shapes: Mapping[str, Iterable[int]] = {
        name: value.shape for name, value in parameters_of(own).items()
    }
    for key, value in moments.items():
        name = key.rpartition(":")[0]
        if name not in shapes or value.shape not in ((), shapes[name]):
            raise FrameError(f"moments whose entry {key!r} belongs to no parameter here")


def _check(kind: str, found: Tensors, client: Client, own: Copy) -> None:
    """Raise `FrameError` where a kind of control is not of this client."""
    if kind == "batches":
        check_batches(found, client)
    elif kind == "stream":
        expect_like(found, client.stream.state_dict(), "the random state")
    elif kind == "buffers":
        expect_like(found, buffers_of(own), "the buffers")
    elif kind == "moments":
        _check_moments(found, own)
    else:
        check_left_out(found, set(_SENDERS) & set(client.crossing.keys_of(1)))


def _load(kind: str, found: dict[str, Tensor], client: Client, own: Copy) -> None:
    if kind == "batches":
        client.batches.load_state_dict(found)
    elif kind == "stream":
        client.stream.load_state_dict(found)
    elif kind == "buffers":
        load_state(own.parts[0].module, found)
    elif kind == "moments":
        _, others = _moments(own)
        names = dict[str, str]()
        for name, inside in _names_in_part(own).items():
            names.setdefault(inside, name)
        for key, value in found.items():
            name, _, slot = key.rpartition(":")
            others[f"{names[name]}:{slot}"] = value
        own.load_moments(others)
    else:
        client.crossing.load_state_dict(found, _SENDERS)
