"""The event loop of tasks with a planned order: every resource serves its own in that order.

A task begins at the moment when the one in front of it on its resource is over and so are all that
it waits for. Whoever ends lets others begin, so that a queue of ends is all that is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np

from splitopt.timeline import FloatArray


def run_in_order(
    seconds: Sequence[float],
    queues: Sequence[Sequence[int]],
    waits_for: Sequence[Sequence[int]],
) -> tuple[FloatArray, FloatArray]:
    """Simulate tasks and return their starts and ends, shape (T,).

    Parameters
    ----------
    seconds
        Of every task.
    queues
        Of each resource, its tasks in the order in which it serves them; each task is in one.
    waits_for
        Of each task, those that must be over before it can begin, its place in the queue aside.

    Raises
    ------
    RuntimeError
        Tasks wait for each other in a circle: the order is none that can be kept.
    """
    missing = [len(own) for own in waits_for]
    releases: list[list[int]] = [[] for _ in seconds]
    for task, own in enumerate(waits_for):
        for other in own:
            releases[other].append(task)
    for queue in queues:
        for before, task in pairwise(queue):
            releases[before].append(task)
            missing[task] += 1
    start, end = np.zeros(len(seconds)), np.zeros(len(seconds))
    running = [(float(seconds[task]), task) for task, open_ in enumerate(missing) if open_ == 0]
    running.sort()
    over = 0
    while running:
        now, task = heappop(running)
        start[task], end[task] = now - seconds[task], now
        over += 1
        for other in releases[task]:
            missing[other] -= 1
            if missing[other] == 0:
                heappush(running, (now + float(seconds[other]), other))
    if over < len(seconds):
        raise RuntimeError(f"{len(seconds) - over} tasks wait for each other")
    return start, end
