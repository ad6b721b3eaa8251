"""Running a user's module without leaving traces in it, and telling what it raised."""

from __future__ import annotations

import logging
import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from splitopt.profiles.tracing.running.snapshot import Snapshot

SEED = 20240229

GLOBAL_STATE = threading.RLock()
"""Held by whoever makes states of the whole process, such as PyTorch's random one, its own."""


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[Snapshot]:
    """Restore a module and the process at the end: modes, tensors, attributes, random states.

    One thread at a time, and none that draws from a stream of its own meanwhile.

    Yields
    ------
    What the module was, to be put back in between as well; meanwhile it has no gradients.
    """
    with GLOBAL_STATE:
        yield from _undisturbed(module)


def _undisturbed(module: nn.Module) -> Iterator[Snapshot]:
    before = Snapshot(module)
    before.drop_gradients()
    devices = {p.device for p in module.parameters() if p.device.type == "cuda"}
    disabled = logging.root.manager.disable
    # What torch logs of a module that it cannot export is in the error that is raised.
    logging.disable(logging.CRITICAL)
    default = torch.get_default_dtype()
    # A module may draw from the global generators of Python and numpy.
    others = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with (
            torch.random.fork_rng(devices),
            torch.set_grad_enabled(torch.is_grad_enabled()),
            warnings.catch_warnings(),
        ):
            # What a module warns of is not about the profile that is made of it.
            warnings.simplefilter("ignore")
            yield before
    finally:
        logging.disable(disabled)
        before.restore()
        torch.set_default_dtype(default)
        random.setstate(others[0])
        np.random.set_state(others[1])  # noqa: NPY002


def materialise(module: nn.Module, *inputs: object) -> None:
    """Run a module whose layers learn their sizes from the first batch, if it is one."""
    if any(nn.parameter.is_lazy(item) for item in (*module.parameters(), *module.buffers())):
        with torch.random.fork_rng([]), torch.no_grad():
            module(*inputs)
