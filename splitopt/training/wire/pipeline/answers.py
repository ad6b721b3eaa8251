"""What the parties of a pipeline send back at the end of a round, checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from splitopt.training.copies import Copy
from splitopt.training.schemes.base import Client, under
from splitopt.training.wire.pipeline.held import check_held
from splitopt.training.wire.pipeline.timing import ACTIVATIONS, GRADIENTS
from splitopt.training.wire.star.travelling import check_batches, expect_like
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message


def bytes_sent(message: Message) -> dict[str, int]:
    """Read how many bytes of activations and gradients a party has sent.

    Raises
    ------
    FrameError
        They are no counts.
    """
    found = message.fields.get("sent")
    if not isinstance(found, dict) or not all(
        kind in (ACTIVATIONS, GRADIENTS) and type(size) is int and size >= 0
        for kind, size in found.items()
    ):
        raise FrameError("counts of bytes that are none")
    return found


def check_owner(part: Copy, client: Client, tensors: Mapping[str, Tensor]) -> None:
    """Raise `FrameError` if tensors are not what an owner of these parts comes to."""
    tensors = dict(tensors)
    losses = tensors.get("losses")
    if losses is None or losses.dtype != torch.float64 or losses.shape[1:] != (2,):
        raise FrameError("losses that are no numbers")
    check_held(part, under(tensors, "held."))
    check_batches(under(tensors, "batches."), client)
    expect_like(under(tensors, "stream."), client.stream.state_dict(), "the random state")
