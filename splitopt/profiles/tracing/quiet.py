"""Running a user's module without leaving traces in it, and telling what it raised."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

SEED = 20240229


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Restore modes, buffers, gradients and the random state of a module at the end."""
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    attributes = set(vars(module))
    devices = {p.device for p in module.parameters() if p.device.type == "cuda"}
    for parameter, _ in gradients:
        parameter.grad = None
    disabled = logging.root.manager.disable
    # What torch logs of a module that it cannot export is in the error that is raised.
    logging.disable(logging.CRITICAL)
    try:
        with torch.random.fork_rng(devices), warnings.catch_warnings():
            # What a module warns of is not about the profile that is made of it.
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        for part, mode in modes:
            part.training = mode
        for buffer, before in buffers:
            if buffer.device.type != "meta":
                buffer.data.copy_(before)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for name in set(vars(module)) - attributes:
            delattr(module, name)


def reason(error: BaseException, limit: int = 200) -> str:
    """Name an exception in a few words: its type, and the start of its message."""
    text = " ".join(str(error).split())
    short = text if len(text) <= limit else f"{text[: limit - 4].rstrip()} ..."
    return f"{type(error).__name__}: {short}" if short else type(error).__name__
