"""Threads that end before their process does.

An interpreter that ends stops every daemon thread where that next asks for the interpreter's lock.
Within PyTorch, whose C++ must not be unwound there, this aborts the whole process, although all of
its work is done. So a process waits at its end for what its threads are still at.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

PATIENCE_S = 2.0
"""For so long a process waits at its end: a thread that only waits may be stopped anywhere."""

_started: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def start_thread(
    target: Callable[..., object], *args: Any, name: str | None = None
) -> threading.Thread:
    """Start a thread that nobody need wait for, but for `PATIENCE_S` when the process ends."""
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    _started.add(thread)
    thread.start()
    return thread


@atexit.register
def _wait_for_threads() -> None:
    """Wait until the threads have ended, all together no longer than `PATIENCE_S`."""
    deadline_s = time.monotonic() + PATIENCE_S
    for thread in list(_started):
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline_s - time.monotonic()))
