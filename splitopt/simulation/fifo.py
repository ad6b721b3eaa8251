"""The event loop: walkers that go through the same steps, and stations that serve them in turn.

A walker (a data owner) goes round a fixed cycle of steps, one after the other; a station serves
whoever comes first. As each walker is in one place only, an event queue with one entry per walker
is all that is needed: whoever arrives next starts when the station is free, and that is known at
once.

A station has three lanes. A task on lane 0 needs the station for itself; tasks on lanes 1 and 2
(receiving and sending) can overlap each other. Nobody overtakes: a task starts no earlier than one
that came before it.
"""

from __future__ import annotations

from heapq import heappop, heapreplace
from typing import Any, NamedTuple

import numpy as np

from splitopt.problems.compiling import compiled as compile_loop
from splitopt.problems.compiling import plain
from splitopt.timeline import FloatArray, IntArray

COMPILED_FROM = 100_000
"""From this many tasks on the compiled loop is worth its loading."""

EXCLUSIVE, RECEIVE, SEND = 0, 1, 2


class Steps(NamedTuple):
    """The cycle of steps, arrays of shape (S,) or (K, S) for K walkers.

    Parameters
    ----------
    station
        Shape (S,): which station serves the step; -1 is the walker's own, always free.
    lane
        Shape (S,): `EXCLUSIVE`, `RECEIVE` or `SEND`.
    seconds
        Shape (K, S): how long the station is taken, in s.
    carry
        Shape (K, S): s from the start of the step to the arrival at the next one, before `delay`:
        equal to `seconds` where the next step needs all of this one, less where it can begin
        meanwhile.
    delay
        Shape (K, S): s that no noise changes, on the way to the next step.
    factor
        Shape (S,): number of the step's noise factor; steps of one transfer share one.
    final
        How many of the steps, the last ones, belong to a walker's last cycle only.
    """

    station: IntArray
    lane: IntArray
    seconds: FloatArray
    carry: FloatArray
    delay: FloatArray
    factor: IntArray
    final: int = 0


def serve(
    steps: Steps,
    cycles: IntArray,
    factors: FloatArray | None = None,
    compiled: bool | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Simulate walkers that go round their cycles, and return the starts and ends of all tasks.

    Parameters
    ----------
    steps
        The cycle.
    cycles
        Shape (K,): how many times each walker goes round.
    factors
        Shape (sum of cycles, number of factors): what the seconds of each cycle are multiplied by,
        walker by walker; 1 if None.
    compiled
        Whether to use the compiled loop; by default, from `COMPILED_FROM` tasks on.

    Returns
    -------
    start, end
        Shape (sum of cycles, S) in s, walker by walker. All start at 0; whoever arrives at the same
        moment is served in the order of the walkers. Steps that a cycle does not have stay 0.
    """
    count = int(cycles.sum())
    shape = (count, steps.station.size)
    if compiled is None:
        compiled = count * steps.station.size >= COMPILED_FROM
    stations = int(steps.station.max(initial=-1)) + 1
    columns = int(steps.factor.max(initial=-1)) + 1
    scale = np.ones((1, columns)) if factors is None else factors
    cycle = _Cycle(
        steps.station,
        steps.lane,
        steps.seconds.ravel(),
        steps.carry.ravel(),
        steps.delay.ravel(),
        steps.factor,
    )
    before = np.concatenate(([0], np.cumsum(cycles)[:-1]))
    walks = _Walks(cycles, before, scale.ravel())
    served = _Served(np.zeros(shape).ravel(), np.zeros(shape).ravel())
    free = _Free(np.zeros(3 * stations), np.zeros(stations))
    width = columns if factors is not None else 0
    if compiled:
        _walk(cycle, walks, served, free, width, steps.final)
    else:  # in Python, lists are faster
        cycle, walks, served, free = (_as_lists(part) for part in (cycle, walks, served, free))
        plain(_walk)(cycle, walks, served, free, width, steps.final)
    start, end = np.asarray(served.start), np.asarray(served.end)
    return start.reshape(shape), end.reshape(shape)


class _Cycle(NamedTuple):
    """The fields of `Steps`, flat arrays or lists."""

    station: Any
    lane: Any
    seconds: Any
    carry: Any
    delay: Any
    factor: Any


class _Walks(NamedTuple):
    """By walker: how many cycles it goes, and how many all before it go; the flat factors."""

    cycles: Any
    before: Any
    scale: Any


class _Served(NamedTuple):
    """Starts and ends of all tasks in s, flat."""

    start: Any
    end: Any


class _Free(NamedTuple):
    """When the stations are free: three lanes of each, and the start of its latest task."""

    until: Any
    last: Any


def _as_lists(part: Any) -> Any:
    return type(part)(*(array.tolist() for array in part))


@compile_loop
def _walk(
    cycle_of: _Cycle, walks: _Walks, served: _Served, free: _Free, width: int, final: int
) -> None:
    """Fill `served`, the next arrival first.

    `width` is 0 where all cycles share one row of factors, `final` as in `Steps`. The state of a
    walker is its next step and its cycle; that of a station is `free`. The queue holds the arrival
    of every walker that is not done, so that its least entry is the next event of all.
    """
    station, lane, seconds, carry, delay, factor = cycle_of
    cycles, before, scale = walks
    start, end = served
    until, last = free
    steps = len(station)
    step = [0 for _ in range(len(cycles))]
    cycle = [0 for _ in range(len(cycles))]
    queue = [(0.0, walker) for walker in range(len(cycles)) if cycles[walker] > 0]
    while len(queue) > 0:
        begin, walker = queue[0]
        now = step[walker]
        entry = walker * steps + now
        row = before[walker] + cycle[walker]
        stretch = scale[row * width + factor[now]]
        taken = seconds[entry] * stretch
        place = station[now]
        if place >= 0:
            way = lane[now]
            first = 3 * place
            # Nobody overtakes (last), and nothing runs beside an exclusive task (until[first]).
            begin = max(begin, until[first], last[place])
            if way == 0:
                begin = max(begin, until[first + 1], until[first + 2])
            else:
                begin = max(begin, until[first + way])
            until[first + way] = begin + taken
            last[place] = begin
        start[row * steps + now] = begin
        end[row * steps + now] = begin + taken
        # Noise stretches what is carried, never the delay; the next step's arrival is then.
        then = begin + carry[entry] * stretch + delay[entry]
        step[walker] = now + 1
        # The last `final` steps belong to a walker's last cycle only.
        whole = steps if cycle[walker] + 1 == cycles[walker] else steps - final
        if step[walker] == whole:
            step[walker] = 0
            cycle[walker] += 1
            if cycle[walker] == cycles[walker]:
                heappop(queue)
                continue
        heapreplace(queue, (then, walker))
