"""The least sum of the largest forward and the largest backward time (MP-SL Eq. 3).

Along the Pareto frontier of the two maxima the sum has many local minima. The range of the first
maximum is halved again and again: in a part [low, high] nothing is better than the value v that is
known if no partition keeps forward sums to `high` and backward sums to v - low.
"""

from __future__ import annotations

from splitopt.solvers.pipeline_partition.plain.hunt import Hunt, slack
from splitopt.solvers.pipeline_partition.plain.loops import NONE
from splitopt.solvers.pipeline_partition.plain.period import bottleneck
from splitopt.solvers.pipeline_partition.plain.reach import Run, TooLargeError

_STEPS = 16


def search_paper(hunt: Hunt) -> None:
    """Find the least sum of both maxima, then the least trip among the chains that reach it."""
    first = bottleneck(hunt, hunt.scaled.forward)
    second = bottleneck(hunt, hunt.scaled.backward)
    hunt.prove(first + second)
    try:
        _approach(hunt, first, second)
        ties = _halve(hunt, first, second)
    except TooLargeError:
        hunt.note = "at this size it stays open whether every node can be used"
        return
    hunt.prove(hunt.value)
    try:
        _settle(hunt, ties)
    except TooLargeError:
        hunt.note = "at this size the quickest of the best partitions is not looked for"


def _approach(hunt: Hunt, first: int, second: int) -> None:
    """Find a good partition: raise both caps together from their least values."""
    forward = hunt.best.largest(hunt.scaled.forward) - first
    backward = hunt.best.largest(hunt.scaled.backward) - second
    low, high = 0, 2**_STEPS
    for _ in range(_STEPS):
        hunt.pause()
        part = (low + high) // 2
        answer = hunt.reach.below_two(
            first + forward * part // 2**_STEPS, second + backward * part // 2**_STEPS
        )
        run = hunt.exact(answer)
        if run is None:
            low = part
        else:
            hunt.offer(run)
            high = part


def _halve(hunt: Hunt, first: int, second: int) -> list[int]:
    """Prove the best value; give the forward maxima that may have it."""
    parts = [(first, hunt.value - second)]
    ties: list[int] = []
    while parts:
        hunt.prove(min(hunt.value, min(low for low, _ in parts) + second))
        low, high = parts.pop()
        goal = hunt.value + slack(hunt.value)
        low = hunt.reach.neighbours(hunt.scaled.forward, low - 1)[1]
        high = hunt.reach.neighbours(hunt.scaled.forward, min(high, goal - second))[0]
        if low > high:
            continue
        run = hunt.exact(hunt.reach.below_two(high, goal - low))
        if run is None:
            continue
        hunt.offer(run)
        if low == high:
            _lower(hunt, low, second, run.largest(hunt.scaled.backward))
            ties.append(low)
            continue
        middle = (low + high) // 2
        parts.append((middle + 1, high))
        parts.append((low, middle))
    return ties


def _lower(hunt: Hunt, cap: int, low: int, high: int) -> None:
    """Offer the least backward maximum, from `low` to `high`, for one cap on forward sums."""
    backward = hunt.scaled.backward
    while low < high and cap + low < hunt.value:
        hunt.pause()
        middle = (low + high) // 2
        run = hunt.exact(hunt.reach.below_two(cap, middle))
        if run is None:
            low = hunt.reach.neighbours(backward, middle)[1]
        else:
            hunt.offer(run)
            high = run.largest(backward)


def _settle(hunt: Hunt, ties: list[int]) -> None:
    """Take the quickest of the partitions with the best value."""
    goal = hunt.value + slack(hunt.value)
    best: tuple[int, Run] = (NONE, hunt.best)
    for cap in ties:
        hunt.pause()
        hunt.reach.below_two(cap, goal - cap)
        found = hunt.reach.quickest()
        if found is not None and found[0] < best[0]:
            best = found
    hunt.best, hunt.value = best[1], hunt.value_of(best[1])
