"""Resources of a process that several batches want: whoever comes first is served first.

These are the stations of the simulator's event loop (`splitopt.simulation.fifo`), in real time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from splitopt.simulation.fifo import EXCLUSIVE


class Station:
    """A node, an interface or a link.

    A task on the lane ``EXCLUSIVE`` needs it for itself; tasks on the two other lanes can overlap
    each other. Nobody overtakes: a task starts no earlier than one that came before it.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._waiting: deque[object] = deque()
        self._running = [0, 0, 0]

    @contextmanager
    def turn(self, lane: int = EXCLUSIVE) -> Iterator[None]:
        """Wait for one's turn, and have the station until the end of the block."""
        mine = object()
        with self._turn:
            self._waiting.append(mine)
            self._turn.wait_for(lambda: self._waiting[0] is mine and self._fits(lane))
            self._waiting.popleft()
            self._running[lane] += 1
            self._turn.notify_all()
        try:
            yield
        finally:
            with self._turn:
                self._running[lane] -= 1
                self._turn.notify_all()

    def _fits(self, lane: int) -> bool:
        if lane == EXCLUSIVE:
            return not any(self._running)
        return not (self._running[EXCLUSIVE] or self._running[lane])
