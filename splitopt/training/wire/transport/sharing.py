"""Resources that several share at the same time: one clock for each.

What a plan gives its devices of a link or a server are reservations: a device with the share w has
w times the full rate, whether others use theirs or not, as long as the shares that are reserved add
up to 1 at most. Where they add up to more, all are slowed in proportion. This is generalized
processor sharing (Parekh and Gallager 1993) whose sessions are the reservations and where nobody
gets more than was planned, so that a plan whose shares fit comes out as planned, whoever is idle.

All are slowed by the same factor, so that one clock does for all of them. The clock of a resource
runs at 1 / max(1, sum of the shares) seconds a second; what would take s seconds at its planned
rate is done when the clock has run for s seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from splitopt.errors import InputError
from splitopt.training.wire.transport.pacing import Bucket, Lease, Now

_LONGEST_S = 3600.0


class SharedClock:
    """The clock of a shared resource, moved from event to event; without threads.

    Parameters
    ----------
    moment_s
        When it begins, by the clock of the wall.
    """

    def __init__(self, moment_s: float = 0.0) -> None:
        self._moment_s, self._shown_s = moment_s, 0.0
        self._shares: dict[int, float] = {}
        self._next = 0

    @property
    def slowness(self) -> float:
        """By what everybody is slower than planned: 1, or the sum of the shares."""
        return max(1.0, sum(self._shares.values()))

    def shown_s(self, moment_s: float) -> float:
        """Return what the clock shows at a moment, if nobody comes or goes until then."""
        return self._shown_s + (moment_s - self._moment_s) / self.slowness

    def moment_s(self, shown_s: float) -> float:
        """Return when the clock shows so much, if nobody comes or goes until then."""
        return self._moment_s + (shown_s - self._shown_s) * self.slowness

    def enter(self, moment_s: float, share: float) -> int:
        """Reserve a share; return the number by which it is given back."""
        self._move(moment_s)
        self._next += 1
        self._shares[self._next] = share
        return self._next

    def leave(self, moment_s: float, number: int) -> None:
        """Release a share."""
        self._move(moment_s)
        self._shares.pop(number, None)

    def _move(self, moment_s: float) -> None:
        moment_s = max(moment_s, self._moment_s)  # threads may come in another order
        self._shown_s, self._moment_s = self.shown_s(moment_s), moment_s


class Use:
    """Something that is done at a share of a resource, from `SharedResource.begin`.

    Attributes
    ----------
    start_s
        What the resource's clock showed when it began.
    """

    def __init__(self, resource: SharedResource, start_s: float) -> None:
        self._resource, self.start_s = resource, start_s

    def wait(self, planned_s: float) -> float:
        """Wait until what is planned to take so long since the start is done; return the moment."""
        return self._resource.wait_until(self.start_s + planned_s)


class SharedResource:
    """A link or server of which threads have shares.

    Parameters
    ----------
    now
        The clock of the wall, in s.
    """

    def __init__(self, now: Now = time.monotonic) -> None:
        self._now = now
        self._clock = SharedClock(now())
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, share: float) -> Iterator[None]:
        """Reserve a share, above 0, until the end of the block; 1 is the whole resource.

        Raises
        ------
        InputError
            The share is not above 0.
        """
        if not share > 0:
            raise InputError.at("share", f"is {share!r}, it must be above 0")
        with self._changed:
            number = self._clock.enter(self._now(), share)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._clock.leave(self._now(), number)
                self._changed.notify_all()

    def begin(self, since_s: float | None = None) -> Use:
        """Begin something, now or a moment ago, whose planned time is that of its share."""
        with self._changed:
            now = self._now()
            return Use(self, self._clock.shown_s(now if since_s is None else min(since_s, now)))

    def wait_until(self, shown_s: float) -> float:
        """Wait until the resource's clock shows so much; return the moment of the wall."""
        with self._changed:
            while (left := self._clock.moment_s(shown_s) - self._now()) > 0:
                self._changed.wait(min(left, _LONGEST_S))
            return self._now()


class SharedLink(Bucket):
    """The link of one message at the sender's share of a resource.

    Parameters
    ----------
    rate_bytes_per_s
        At the share, if the shares that are reserved fit.
    resource
        What is shared; its share is reserved by somebody.
    """

    def __init__(self, rate_bytes_per_s: float, resource: SharedResource) -> None:
        super().__init__(rate_bytes_per_s)
        self.resource = resource

    def lease(self, size: int) -> Lease:
        """Begin with a message; the seconds of the lease are those of the resource's clock."""
        return Lease(self.resource.begin().start_s, self.rate, size)

    def wait_until(self, moment_s: float) -> None:
        """Sleep until the resource's clock shows so much."""
        self.resource.wait_until(moment_s)
