"""Time as the plan has it: links of a given rate, and work that takes at least so long.

Everything sleeps until absolute moments of the monotonic clock: what one sleep is late by, the next
one makes good, and nobody burns a core that another process needs.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from splitopt.errors import InputError

CHUNK_S = 0.004
"""About as long as one chunk of a paced message takes, in s."""

SMALLEST_CHUNK, LARGEST_CHUNK = 1024, 262_144

Now = Callable[[], float]
Sleep = Callable[[float], None]


def pad_until(deadline_s: float, now: Now = time.monotonic, sleep: Sleep = time.sleep) -> float:
    """Sleep until a moment of the monotonic clock.

    Returns
    -------
    By how many s the moment is over: what the sleep, or the work before it, was too long.
    """
    while (left := deadline_s - now()) > 0:
        sleep(left)
    return -left


@dataclass(frozen=True)
class Lease:
    """The time of one message on a link: from `start_s`, at a rate in byte/s.

    A chunk is handed over when its last bit has passed the link, so that the receiver has the whole
    message when the link is free again.
    """

    start_s: float
    rate: float
    size: int

    @property
    def end_s(self) -> float:
        """When the link is free again."""
        return self.due_s(self.size)

    def due_s(self, sent: int) -> float:
        """When the first bytes of the message, so many, have passed the link."""
        return self.start_s + sent / self.rate

    def chunks(self) -> Iterator[tuple[int, int]]:
        """First and last byte (exclusive) of every chunk."""
        step = LARGEST_CHUNK
        if self.rate < math.inf:
            step = min(max(int(self.rate * CHUNK_S), SMALLEST_CHUNK), LARGEST_CHUNK)
        for first in range(0, self.size, step):
            yield first, min(first + step, self.size)


class Bucket:
    """A link or port of a rate, whose users follow one another in the order in which they came.

    Parameters
    ----------
    rate_bytes_per_s
        Above 0; infinite for a link that costs nothing.
    now, sleep
        The clock and how to wait on it, in s.

    Raises
    ------
    InputError
        The rate is not above 0.

    Notes
    -----
    It is a token bucket without depth: an idle link saves nothing up. Several senders may share
    one; each message has the link to itself, as in the simulator.
    """

    def __init__(
        self, rate_bytes_per_s: float, now: Now = time.monotonic, sleep: Sleep = time.sleep
    ) -> None:
        if not rate_bytes_per_s > 0:
            raise InputError.at(
                "rate_bytes_per_s", f"is {rate_bytes_per_s!r}, it must be above 0 byte/s"
            )
        self.rate = float(rate_bytes_per_s)
        self.now, self.sleep = now, sleep
        self._free_s = -math.inf
        self._lock = threading.Lock()

    def lease(self, size: int) -> Lease:
        """Reserve the link for a message of so many bytes, behind those that came before."""
        with self._lock:
            lease = Lease(max(self._free_s, self.now()), self.rate, size)
            self._free_s = lease.end_s
        return lease

    def wait_until(self, moment_s: float) -> None:
        """Sleep until a moment of the bucket's clock."""
        pad_until(moment_s, self.now, self.sleep)


class Granted(Bucket):
    """A link for one message that may begin at a moment, which somebody else has settled."""

    def __init__(self, rate_bytes_per_s: float, start_s: float) -> None:
        super().__init__(rate_bytes_per_s)
        self.start_s = start_s

    def lease(self, size: int) -> Lease:
        """Lease the link from that moment on, even if it is just over."""
        return Lease(self.start_s, self.rate, size)
