"""The least time of an epoch: the trip of one batch plus the period of all others.

The least trip under a cap of the period falls as the cap rises. In a range [low, high] of periods
no epoch is shorter than the least trip under `high` and the other batches at `low`.
"""

from __future__ import annotations

from splitopt.solvers.pipeline_partition.plain.hunt import Hunt, slack
from splitopt.solvers.pipeline_partition.plain.period import bottleneck
from splitopt.solvers.pipeline_partition.plain.reach import Run, TooLargeError
from splitopt.solvers.pipeline_partition.plain.scaled import NO_CAP


def search_epoch(hunt: Hunt, others: int) -> None:
    """Find the least trip + `others` times the period."""
    total = hunt.scaled.both
    least = bottleneck(hunt, total)
    trip = int(hunt.scaled.quickest_layers(total).sum())
    hunt.prove(trip + others * least)
    try:
        _halve(hunt, least, trip, others)
    except TooLargeError:
        hunt.note = "at this size the trade of trip against period stays open"


def _halve(hunt: Hunt, least: int, trip: int, others: int) -> None:
    """Prove the best value, and keep the partition of the least trip that has it."""
    reach, total = hunt.reach, hunt.scaled.both
    parts = [(least, NO_CAP, trip), (least, least, trip)]
    found: list[tuple[int, Run]] = []
    while parts:
        hunt.prove(min(hunt.value, *(trip + others * low for low, _, trip in parts)))
        low, high, trip = parts.pop()
        goal = hunt.value + slack(hunt.value)
        if others > 0:
            high = min(high, (goal - trip) // others)
        if low > high or trip + others * low > goal:
            continue
        reach.below(total, high)
        if (quickest := reach.quickest()) is None:
            continue
        trip, run = quickest
        found.append((hunt.offer(run), run))
        low = reach.neighbours(total, low - 1)[1]
        top = run.largest(total) - 1
        if others == 0 or low > top:
            continue
        middle = (low + top) // 2
        parts.append((low, middle, trip))
        parts.append((middle + 1, top, trip))
    hunt.prove(hunt.value)
    goal = hunt.value + slack(hunt.value)
    tied = [run for value, run in found if value <= goal]
    if tied:
        hunt.best = min(tied, key=lambda run: run.total(total))
