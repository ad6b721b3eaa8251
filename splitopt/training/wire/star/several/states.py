"""What servers tell each other of a device: all that its next round, and that of its copy, need.

Rank 0 has the state of every device between rounds, as one process has. Before a round each other
server is sent the common model once, and of each of its devices what differs from that; after the
round it sends what has become of the device. What training does not change goes once.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from splitopt.training.model_parts.averaging import leading
from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.client import Client
from splitopt.training.schemes.scheme_state import load_state, state_of, under
from splitopt.training.wire.client_state import check_batches, expect_like
from splitopt.training.wire.encoded import check_left_out
from splitopt.training.wire.transport.errors import FrameError

Tensors = Mapping[str, Tensor]

_MODEL, _MOMENTS, _CLIENT = "copy.0.model.", "copy.0.moments.", "client.0."


def common_of(model: nn.Module, own: Copy, *, with_fixed: bool) -> dict[str, Tensor]:
    """Return the common model; what training does not change only where it is asked for.

    Parameters
    ----------
    model
        The common one.
    own
        Any copy of it.
    with_fixed
        Whether the other server has nothing of it yet.
    """
    return {
        name: value.detach().clone().contiguous()
        for name, value in model.state_dict().items()
        if with_fixed or name not in own.fixed
    }


def state_after(client: Client, own: Copy) -> dict[str, Tensor]:
    """Return a device's state and that of its copy, without what training does not change."""
    found = state_of(nn.Module(), [client], [own])
    return {name: value for name, value in found.items() if not _is_fixed(name, own)}


def state_before(client: Client, own: Copy, common: Tensors) -> dict[str, Tensor]:
    """Return the same, without what its copy has of the common model."""
    known = _of_common(common, own)
    return {
        name: value
        for name, value in state_after(client, own).items()
        if not (name in known and torch.equal(known[name], value))
    }


def load_before(tensors: Tensors, common: Tensors, client: Client, own: Copy) -> None:
    """Go on from what `state_before` gave elsewhere.

    Raises
    ------
    FrameError
        It is not of this device.
    """
    _load({**_of_common(common, own), **tensors}, client, own)


def load_after(tensors: Tensors, client: Client, own: Copy) -> None:
    """Go on from what `state_after` gave elsewhere.

    Raises
    ------
    FrameError
        It is not of this device.
    """
    _load(dict(tensors), client, own)


def _is_fixed(name: str, own: Copy) -> bool:
    return name.startswith(_MODEL) and name.removeprefix(_MODEL) in own.fixed


def _of_common(common: Tensors, own: Copy) -> dict[str, Tensor]:
    """Return the entries of a copy that are those of the common model, by their full names."""
    mine = own.model.state_dict()
    if not common.keys() <= mine.keys() or not own.fixed >= mine.keys() - common.keys():
        raise FrameError("a common model with other entries than it has here")
    for name, value in common.items():
        sides = zip(value.shape, mine[name].shape, strict=False)
        if value.dim() != mine[name].dim() or not all(whole >= part for whole, part in sides):
            raise FrameError(f"a common model whose entry {name!r} has another shape than here")
    return {f"{_MODEL}{name}": value for name, value in leading(common, mine).items()}


def _load(tensors: dict[str, Tensor], client: Client, own: Copy) -> None:
    """Check all entries, and load them; what training does not change stays as it is."""
    mine = own.model.state_dict()
    model, wanted = under(tensors, _MODEL), set(mine) - own.fixed
    if not wanted <= model.keys() <= mine.keys():
        raise FrameError("a copy with other entries than it has here")
    expect_like(model, {name: mine[name] for name in model}, "a copy")
    parameters = dict(own.model.named_parameters())
    for key, value in under(tensors, _MOMENTS).items():
        name = key.rpartition(":")[0]
        if name not in parameters or value.shape not in ((), parameters[name].shape):
            raise FrameError(f"moments whose entry {key!r} belongs to no parameter here")
    kinds = {kind: under(tensors, f"{_CLIENT}{kind}.") for kind in ("batches", "stream")}
    check_batches(kinds["batches"], client)
    expect_like(kinds["stream"], client.stream.state_dict(), "the random state")
    left_out = under(tensors, f"{_CLIENT}crossing.")
    check_left_out(left_out, client.crossing.keys_of(len(client.cuts)))
    known = {f"{_MODEL}{name}": value for name, value in mine.items()}
    load_state(nn.Module(), [client], [own], known | tensors)
