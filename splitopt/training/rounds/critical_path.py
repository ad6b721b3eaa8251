"""The chain of tasks that makes a timeline as long as it is."""

from __future__ import annotations

import numpy as np

from splitopt.timeline import IntArray, Timeline

WAITING = "waiting"
"""What lies between the tasks of the critical path, such as the delay of a message."""
ROUNDING = 1e-9
"""Fraction of the whole below which two times are the same."""


def critical_path(timeline: Timeline) -> IntArray:
    """Return the tasks, first to last, of which each began when the one before was over.

    Back from the task that ends last. Of several that end in time for the next one, it goes on with
    the one that ends last, rather with one of the same owner, rather on the same resource.
    """
    slack = ROUNDING * timeline.makespan_s
    lasting = np.flatnonzero(timeline.end_s - timeline.start_s > slack)
    order = lasting[np.argsort(timeline.end_s[lasting], kind="stable")]
    ends = timeline.end_s[order]
    path: list[int] = []
    last = len(order)
    while last > 0:
        if not path:
            path.append(int(order[-1]))
        now = path[-1]
        last = int(np.searchsorted(ends, timeline.start_s[now] + slack, side="right"))
        if last == 0:
            break
        candidates = order[np.searchsorted(ends, ends[last - 1] - slack) : last]
        alike = 2 * (timeline.owner[candidates] == timeline.owner[now])
        alike = alike + (timeline.resource[candidates] == timeline.resource[now])
        path.append(int(candidates[int(alike.argmax())]))
    return np.array(path[::-1], dtype=np.int64)


def seconds_by_phase(timeline: Timeline) -> dict[str, float]:
    """Divide the makespan into the phases of the critical path and `WAITING`, in s.

    Phases are in the order of the timeline, those without a task on the path left out. The seconds
    add up to the makespan.
    """
    path = critical_path(timeline)
    starts = timeline.start_s[path]
    ends = np.append(starts[1:], timeline.makespan_s)
    found = {}
    for phase, name in enumerate(timeline.phases):
        mine = timeline.phase[path] == phase
        if mine.any():
            lasting = np.minimum(timeline.end_s[path[mine]], ends[mine]) - starts[mine]
            found[name] = float(lasting.sum())
    rest = timeline.makespan_s - sum(found.values())
    if rest > ROUNDING * timeline.makespan_s:
        found[WAITING] = rest
    return found
