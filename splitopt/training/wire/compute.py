"""One computation at a time in a process.

PyTorch's random state is that of the whole process, and a `Stream` makes itself that state while
its layers run; so threads that serve several clients take turns. Where the plan gives clients
shares of a server at the same time, their planned times overlap and only the real work does not.
"""

from __future__ import annotations

import threading
import time

from splitopt.training.wire.pacing import pad_until

COMPUTE = threading.Lock()
"""Held by whoever runs layers, takes a loss or steps an optimizer."""


def padded(deadline_s: float) -> float:
    """Wait for the end of a planned computation, and say when it is over by the clock."""
    pad_until(deadline_s)
    return time.monotonic()
