"""What the peer's clock shows when one's own shows something."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from splitopt.training.wire.transport.errors import RefusedError
from splitopt.training.wire.transport.pacing import Now

ROUNDS = 8
STAMP = struct.Struct("<d")


@dataclass(frozen=True)
class Offset:
    """By how much the peer's clock is ahead of one's own, and how well that is known, in s.

    Both processes on one machine have the same monotonic clock; an offset that the measurement
    cannot tell from 0 is taken as 0.
    """

    seconds: float = 0.0
    uncertainty_s: float = 0.0

    @property
    def reversed(self) -> Offset:
        """The same, as the peer sees it."""
        return Offset(-self.seconds, self.uncertainty_s)

    def own(self, peer_s: float) -> float:
        """Return what one's own clock showed when the peer's showed `peer_s`."""
        return peer_s - self.seconds


SAME_CLOCK = Offset()


def measure(
    send: Callable[[bytes], None], receive: Callable[[int], bytes], now: Now = time.monotonic
) -> Offset:
    """Read the clock of a peer that runs `answer`, and believe the quickest of several answers.

    The peer's clock was read between question and answer: their middle is off by half of the time
    between them at most (Cristian 1989).
    """
    best: Offset | None = None
    for _ in range(ROUNDS):
        asked = now()
        send(STAMP.pack(asked))
        (shown,) = STAMP.unpack(receive(STAMP.size))
        half = (now() - asked) / 2
        if not math.isfinite(shown):
            raise RefusedError("its clock is not a number")
        if best is None or half < best.uncertainty_s:
            best = Offset(shown - (asked + half), half)
    assert best is not None  # there is a round or more
    if abs(best.seconds) <= best.uncertainty_s:
        best = Offset(0.0, best.uncertainty_s)
    send(STAMP.pack(best.seconds) + STAMP.pack(best.uncertainty_s))
    return best


def answer(
    send: Callable[[bytes], None], receive: Callable[[int], bytes], now: Now = time.monotonic
) -> Offset:
    """Show one's clock to a peer that runs `measure`, and take over what it found."""
    for _ in range(ROUNDS):
        receive(STAMP.size)
        send(STAMP.pack(now()))
    seconds, uncertainty_s = struct.unpack("<2d", receive(2 * STAMP.size))
    if not (math.isfinite(seconds) and 0 <= uncertainty_s < math.inf):
        raise RefusedError("its clock is not a number")
    return Offset(seconds, uncertainty_s).reversed
