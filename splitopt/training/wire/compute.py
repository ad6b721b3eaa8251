"""One computation at a time in a process.

PyTorch's random state is that of the whole process, and a `Stream` makes itself that state while
its layers run; so threads that serve several clients take turns. Where the plan gives clients
shares of a server at the same time, their planned times overlap and only the real work does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from splitopt.training.wire.transport.pacing import pad_until

COMPUTE = threading.Lock()
"""Held by whoever runs layers, takes a loss or steps an optimizer."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread: the processes share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def padded(deadline_s: float) -> float:
    """Wait for the end of a planned computation, and say when it is over by the clock."""
    pad_until(deadline_s)
    return time.monotonic()


def warm_up() -> None:
    """Run a step of an optimizer, before anybody waits for one: PyTorch's first takes a second."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    weight.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
