"""A model in evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and leave its modes and buffers as they were."""
    modes = [(part, part.training) for part in model.modules()]
    buffers = [(part, dict(part._buffers)) for part in model.modules()]
    values = [(tensor, tensor.detach().clone()) for tensor in model.buffers()]
    try:
        model.eval()
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        for part, own in buffers:
            part._buffers.update(own)
        for tensor, before in values:
            tensor.data.copy_(before)
