"""Tied weights of which a device and the server hold a copy each, over a connection.

The server's gradients come down with that of the smashed data, and the device steps with the sum of
its own and these. Its own go up with the smashed data of the next mini-batch, before which the
server makes the same step; after the last one the weight itself goes up with the device's part, and
its moments with the state. Both copies are therefore equal, bit for bit, whenever they are used.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from splitopt.training.wire.transport.errors import FrameError


def gradients_of(weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return a side's own gradients of tied weights, zeros where no pass has given any."""
    return {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad.detach().clone()
        for name, weight in weights.items()
    }


def add_gradients(weights: Mapping[str, nn.Parameter], others: Mapping[str, Tensor]) -> None:
    """Add the other side's gradients to one's own, for the step of both.

    Raises
    ------
    FrameError
        They are not gradients of these weights.
    """
    if weights.keys() != others.keys():
        raise FrameError("gradients of other tied weights than it has here")
    for name, weight in weights.items():
        given = others[name]
        if given.shape != weight.shape or given.dtype != weight.dtype:
            raise FrameError(f"a gradient of {name!r} of another shape or type than the weight")
        given = given.to(weight.device)
        weight.grad = given.clone() if weight.grad is None else weight.grad + given
