"""Random states that travel with mini-batches, so that both sides of a cut draw from one stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from splitopt.training.schemes.base import Client
from splitopt.training.wire.transport.errors import FrameError


def changed(before: Tensor, after: Tensor) -> dict[str, Tensor]:
    """Return a random state that has to travel with its batch, because layers drew from it."""
    return {} if torch.equal(before, after) else {"stream": after}


def take_stream(tensors: Mapping[str, Any], client: Client) -> None:
    """Go on with a random state that came with a batch, if one did."""
    if "stream" not in tensors:
        return
    state = tensors["stream"]
    own = client.stream.state
    if state.dtype != own.dtype or state.shape != own.shape:
        raise FrameError("a random state of another shape or type than here")
    client.stream.state = state
