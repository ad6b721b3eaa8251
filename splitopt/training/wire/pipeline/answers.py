"""What the parties of a pipeline send back at the end of a round, checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from splitopt.training.copies import Copy
from splitopt.training.schemes.base import Client, under
from splitopt.training.wire.pipeline.held import check_held
from splitopt.training.wire.star.travelling import check_batches, expect_like
from splitopt.training.wire.transport.errors import FrameError


def check_owner(part: Copy, client: Client, tensors: Mapping[str, Tensor]) -> None:
    """Raise `FrameError` if tensors are not what an owner of these parts comes to."""
    tensors = dict(tensors)
    losses = tensors.get("losses")
    if losses is None or losses.dtype != torch.float64 or losses.shape[1:] != (2,):
        raise FrameError("losses that are no numbers")
    check_held(part, under(tensors, "held."))
    check_batches(under(tensors, "batches."), client)
    expect_like(under(tensors, "stream."), client.stream.state_dict(), "the random state")
