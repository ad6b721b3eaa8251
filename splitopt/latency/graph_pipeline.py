"""Micro-batches through machines that run parts of a graph: what each does in a pass, and when.

A machine does one thing at a time: it receives what a pass needs, computes, and sends. Of a
micro-batch it makes the forward pass once its predecessors have sent theirs, and the backward pass
once its successors have.

*Order.* Let P machines stand in an order that data follow, at the places j = 0 .. P - 1. Take slots
that last as long as the busiest machine works on a micro-batch. In slot n place j makes the
backward pass of micro-batch n - 2 P + 1 + j and then the forward pass of n - j: both need nothing
that is not there since an earlier slot. So a period of the maximal load is always reached, with ``2
(P - j) - 1`` micro-batches in flight at place j. The machines keep this order of passes and start
each as early as they can, which is never later than in the slots. Where fewer may be in flight, a
forward pass waits for the backward pass that makes room, and the period may be longer.

*A round.* Let no machine work longer than T on a micro-batch, f and b of it forward and backward.
A round of M micro-batches ends within `most_periods` T, and some machines of that T need it all:

- One machine is never idle: M T.
- Let Q = min(P, M / 2 rounded up) be the last places, and J = P - Q the others. A place in front
  of J makes all forward passes before its first backward one. So it makes the forward pass of m
  from f_0 + .. + f_{j - 1} + m T, and the slots of the last Q places begin at a, the sum of f in
  front of them. There a backward pass may follow the forward pass of its slot, so that the first
  of these places has made that of m by ``a + (m + 2 Q - 1) T``. By then every place in front is
  through with all its forward passes, as ``2 Q >= M``, and the backward passes go through them
  without another wait, b each: ``J T + (M + 2 Q - 2) T``, which is ``(M + P + Q - 2) T``.
- Where Q = P > 1, one period less is enough. Place 0 makes the forward pass of m by f_0 + m T,
  the slots of the others begin at f_0, and their backward passes of m are made by
  ``f_0 + (m + 2 P - 3) T``. Either place 0 is never idle, M T; or what it does after it waited for
  the last time, for m, are M - m backward and fewer forward passes: ``(M + 2 P - 3) T``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PHASES = (
    "receive",
    "forward",
    "send",
    "receive gradients",
    "backward",
    "send gradients",
)
"""What a machine does with a micro-batch; the first three are the forward pass."""


class Stations(NamedTuple):
    """The machines in an order that data follow.

    Parameters
    ----------
    seconds
        Shape (P, 6): seconds per micro-batch of each machine in each of `PHASES`.
    before
        For each machine, the places of those that it takes data from.
    in_flight
        Micro-batches whose forward pass a machine may have made and whose backward pass not; None
        for as many as there are.
    """

    seconds: FloatArray
    before: tuple[tuple[int, ...], ...]
    in_flight: int | None = None

    @property
    def places(self) -> int:
        """P, the number of machines."""
        return len(self.before)

    @property
    def load_s(self) -> float:
        """Seconds per micro-batch of the busiest machine."""
        return float(self.seconds.sum(axis=1).max(initial=0.0))


class Passes(NamedTuple):
    """When machines do what; arrays of shape (P, M, 6), with M micro-batches."""

    start_s: FloatArray
    end_s: FloatArray

    @property
    def makespan_s(self) -> float:
        """When the last pass ends."""
        return float(self.end_s.max(initial=0.0))


def orders(stations: Stations, micro_batches: int) -> list[list[tuple[bool, int]]]:
    """Return for each machine its passes in order: whether backward, and the micro-batch."""
    found = []
    for place in range(stations.places):
        ahead = 2 * (stations.places - place) - 1
        if stations.in_flight is not None:
            ahead = min(ahead, stations.in_flight)
        ahead = min(ahead, micro_batches)
        own = [(False, m) for m in range(ahead)]
        for m in range(micro_batches):
            own.append((True, m))
            if m + ahead < micro_batches:
                own.append((False, m + ahead))
        found.append(own)
    return found


def run(stations: Stations, micro_batches: int, factors: FloatArray | None = None) -> Passes:
    """Compute when every machine does what, each pass as early as its order allows.

    Parameters
    ----------
    stations
        The machines.
    micro_batches
        M, at least 1; all are there from the start.
    factors
        Shape (P, M, 6): by which seconds are stretched; 1 by default.
    """
    places, batches = stations.places, micro_batches
    seconds = np.repeat(stations.seconds[:, None, :], batches, axis=1)
    seconds = seconds if factors is None else seconds * factors
    start, end = np.zeros_like(seconds), np.zeros_like(seconds)
    after = _turned_round(stations.before)
    done = np.zeros((places, 2, batches), dtype=np.bool_)
    free, queue, at = np.zeros(places), orders(stations, batches), [0] * places
    left = sum(map(len, queue))
    while left:
        for place in (*range(places), *reversed(range(places))):
            while at[place] < len(queue[place]):
                back, m = queue[place][at[place]]
                needs = after[place] if back else stations.before[place]
                if not all(done[other, int(back), m] for other in needs):
                    break
                there = [end[other, m, 5 if back else 2] for other in needs]
                first = 3 if back else 0
                clock = max([free[place], *there])
                for phase in range(first, first + 3):
                    start[place, m, phase] = clock
                    clock += seconds[place, m, phase]
                    end[place, m, phase] = clock
                free[place] = clock
                done[place, int(back), m] = True
                at[place] += 1
                left -= 1
    return Passes(start, end)


def _turned_round(before: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(place for place, own in enumerate(before) if other in own)
        for other in range(len(before))
    )


def most_periods(machines: int, micro_batches: int) -> int:
    """Return how many periods a round takes at most, see *A round* above.

    The period is the load of the busiest machine. Some machines in a row with this period need
    as many: those that work forward or backward only, by turns. So it is the least number that
    holds whatever part of their work is forward; it never falls with more machines.

    Parameters
    ----------
    machines
        P, at least 1, with ``min(2 P - 1, M)`` micro-batches in flight, or more.
    micro_batches
        M, at least 1.
    """
    if machines == 1:
        return micro_batches
    return micro_batches + machines - 2 + min(machines - 1, (micro_batches + 1) // 2)


def enough_in_flight(machines: int, micro_batches: int) -> int:
    """Return how many micro-batches must be allowed in flight for the period to be reached."""
    return min(2 * machines - 1, micro_batches)


MOST_RUN = 500
"""Micro-batches of a round that are gone through one by one; further ones follow at their pace."""


def round_seconds(stations: Stations, micro_batches: int) -> float:
    """Return how long a round of micro-batches takes, from the first pass to the end of the last.

    Of more than `MOST_RUN`, those beyond take as long as the second half of these does.
    """
    count = min(micro_batches, MOST_RUN)
    whole = run(stations, count).makespan_s
    if count == micro_batches:
        return whole
    half = run(stations, count // 2).makespan_s
    return whole + (micro_batches - count) * (whole - half) / (count - count // 2)
