"""Refused connections in the log: told of at once, and never a line for each of many."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter

from splitopt.training.wire.transport.pacing import Now

EVERY_S = 5.0
"""A line in so many seconds at most."""
_REASONS = 3

_LOG = logging.getLogger(__name__)


class Refusals:
    """Counts who was refused, and logs a line now and then.

    Parameters
    ----------
    where
        What they wanted, such as ``127.0.0.1:29500``.
    every_s
        The least time between two lines, in s.
    now
        The clock, in s.

    Attributes
    ----------
    count
        How many so far.
    """

    def __init__(self, where: str, every_s: float = EVERY_S, now: Now = time.monotonic) -> None:
        self.where, self.every_s, self.count = where, every_s, 0
        self._now, self._lock = now, threading.Lock()
        self._untold: Counter[str] = Counter()
        self._last = ""
        self._next_s = -float("inf")

    def add(self, peer: str, why: str) -> None:
        """Count one, and log all that nobody was told of yet if the last line is old enough."""
        with self._lock:
            self.count += 1
            known = why in self._untold or len(self._untold) < 10 * _REASONS
            self._untold[why if known else "other reasons"] += 1
            self._last = peer
            if self._now() >= self._next_s:
                self._tell()

    def close(self) -> None:
        """Log what is left."""
        with self._lock:
            if self._untold:
                self._tell()

    def _tell(self) -> None:
        total = self._untold.total()
        if total == 1:
            _LOG.warning("refused a connection from %s: %s", self._last, *self._untold)
        else:
            usual = self._untold.most_common(_REASONS)
            reasons = "; ".join(f"{number} times: {why}" for why, number in usual)
            text = "refused %d connections to %s, the last one from %s (%s)"
            _LOG.warning(text, total, self.where, self._last, reasons)
        self._untold.clear()
        self._next_s = self._now() + self.every_s
