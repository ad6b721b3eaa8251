"""The least period, and the quickest partition that has it."""

from __future__ import annotations

from splitopt.solvers.pipeline_partition.plain.hunt import Hunt, slack
from splitopt.solvers.pipeline_partition.plain.reach import TooLargeError
from splitopt.solvers.pipeline_partition.plain.scaled import Whole


def search_period(hunt: Hunt) -> None:
    """Find the least largest sum, then the least trip among the chains that reach it.

    Bisection with jumps: caps that can be met fall to the value that was attained, caps that cannot
    rise to the next one that changes anything, so that both ends meet in the optimum.
    """
    total = hunt.scaled.both
    least = bottleneck(hunt, total)
    hunt.prove(least)
    try:
        _settle(hunt, total, least)
    except TooLargeError:
        if hunt.value > least:
            hunt.note = "at this size it stays open whether every node can be used at the bound"
        else:
            hunt.note = "at this size the quickest of the best partitions is not looked for"


def bottleneck(hunt: Hunt, total: Whole) -> int:
    """Give the least cap that sums of `total` (K, S + 1) can keep to if nodes may stay idle."""
    reach = hunt.reach
    low = int(hunt.scaled.quickest_layers(total).max())  # every layer has to be somewhere
    high = hunt.best.largest(total)
    while low < high:
        hunt.pause()
        cap = (low + high) // 2
        answer = reach.below(total, cap)
        if answer.run is None:
            low = min(answer.next_cap, high)
            if total is hunt.scaled.both:
                hunt.prove(low)
            continue
        high = answer.run.largest(total)
        if hunt.layout.may_idle or not answer.run.has_idle:
            hunt.offer(answer.run)
    return low


def _settle(hunt: Hunt, total: Whole, least: int) -> None:
    """Find the quickest chain at the least period that one with every node in use can have."""
    reach = hunt.reach
    reach.below(total, least + slack(least))
    found = reach.quickest()
    if found is None:
        low, high = reach.neighbours(total, least + slack(least))[1], hunt.best.largest(total)
        while low < high:
            hunt.prove(low)
            cap = (low + high) // 2
            reach.below(total, cap)
            found = reach.quickest()
            if found is None:
                low = min(reach.neighbours(total, cap)[1], high)
            else:
                high = hunt.offer(found[1])
        hunt.prove(low)
        reach.below(total, low + slack(low))
        found = reach.quickest()
    if found is not None:
        hunt.best, hunt.value = found[1], hunt.value_of(found[1])
