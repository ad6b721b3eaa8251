"""The inner loops of the search, for numba and, unchanged, for Python.

Kinds of nodes are rows; positions 0..S count the layers that the chain holds. All loops work on
integers, so that both versions give the same answer bit for bit. Numba compiles once and keeps the
result beside this file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy.typing as npt

Array = npt.NDArray[Any]
NONE = 2**62
"""No value: above every sum."""
SMALL = 4000
"""Steps per test below which loops are left to Python unless they have been compiled already."""


class Loops(NamedTuple):
    """One version of all loops."""

    ends: Callable[..., tuple[int, int]]
    ends_of_two: Callable[..., None]
    starts: Callable[..., None]
    furthest: Callable[..., int]
    needed: Callable[..., None]
    quickest: Callable[..., None]


def plain() -> Loops:
    """Give the loops as Python runs them."""
    return Loops(_ends, _ends_of_two, _starts, _furthest, _needed, _quickest)


@cache
def compiled() -> Loops:
    """Compile the loops, or load what was compiled before."""
    import numba

    try:
        return _with(numba.njit(cache=True))
    except RuntimeError:  # there is no folder to keep the result in
        return _with(numba.njit)


def _with(compiler: Callable[[Any], Any]) -> Loops:
    loops: list[Any] = [compiler(loop) for loop in plain()]
    return Loops(*loops)


def loops_for(work: int) -> Loops:
    """Give the version that answers sooner: numba takes its time to be imported."""
    if work < SMALL and ("numba" not in sys.modules or compiled.cache_info().currsize == 0):
        return plain()
    return compiled()


def _ends(total: Array, limit: Array, cap: int, end: Array, above: Array) -> tuple[int, int]:
    """Find for each kind and position where the longest run with a sum of at most `cap` ends.

    Parameters
    ----------
    total
        (K, S + 1): sums of the first layers.
    limit
        (K, S + 1): where a run must end at the latest; it does not fall along a row.
    end, above
        (K, S + 1), written: the end, and the sum of the run that is one layer longer, `NONE` where
        the limit forbids it.

    Returns
    -------
    The largest sum of any run that is at most `cap`, and the least that is above it.
    """
    kinds, positions = total.shape
    largest, least = 0, NONE
    for kind in range(kinds):
        stop = 0
        for start in range(positions):
            base = total[kind, start]
            latest = limit[kind, start]
            stop = max(stop, start)
            while stop < latest and total[kind, stop + 1] - base <= cap:
                stop += 1
            end[kind, start] = stop
            largest = max(largest, total[kind, stop] - base)
            longer = NONE
            if stop < latest:
                longer = total[kind, stop + 1] - base
                least = min(least, longer)
            above[kind, start] = longer
    return largest, least


def _ends_of_two(
    first: Array, second: Array, limit: Array, cap: int, second_cap: int, end: Array
) -> None:
    """Find where the longest runs end whose two sums keep below two caps, see `_ends`."""
    kinds, positions = first.shape
    for kind in range(kinds):
        stop = 0
        for start in range(positions):
            base, other = first[kind, start], second[kind, start]
            latest = limit[kind, start]
            stop = max(stop, start)
            while (
                stop < latest
                and first[kind, stop + 1] - base <= cap
                and second[kind, stop + 1] - other <= second_cap
            ):
                stop += 1
            end[kind, start] = stop


def _starts(end: Array, start: Array) -> None:
    """Turn ends into starts (K, S + 1): where the longest run that ends at a position starts."""
    kinds, positions = end.shape
    for kind in range(kinds):
        place = 0
        for stop in range(positions):
            while end[kind, place] < stop:
                place += 1
            start[kind, stop] = place


def _furthest(
    first: Array,
    before: Array,
    kind_of: Array,
    most: Array,
    end: Array,
    above: Array,
    reach: Array,
    via: Array,
) -> int:
    """Find how many layers the chain can hold at most in every state, if nodes may stay idle.

    Parameters
    ----------
    first, before, kind_of, most
        See `States`.
    end, above
        See `_ends`; `above` may be empty.
    reach, via
        (Z,), written: the position, and the step that leads to it.

    Returns
    -------
    The least cap above the present one that changes anything, `NONE` without `above`.
    """
    watch = above.size > 0
    least = NONE
    reach[0] = 0
    for state in range(1, len(reach)):
        best = -1
        for step in range(first[state], first[state + 1]):
            position = reach[before[step]]
            kind = kind_of[step]
            if end[kind, position] > best:
                best = end[kind, position]
                via[state] = step
            if watch:
                least = min(least, above[kind, position])
        reach[state] = min(best, most[state])
    return least


def _needed(
    first: Array, before: Array, kind_of: Array, fewest: Array, start: Array, need: Array
) -> None:
    """Find how many layers the chain must hold in every state (Z,), or the rest cannot finish."""
    states = len(need)
    for state in range(states):
        need[state] = start.shape[1] - 1
    for state in range(states - 1, -1, -1):
        need[state] = max(need[state], fewest[state])
        for step in range(first[state], first[state + 1]):
            place = start[kind_of[step], need[state]]
            need[before[step]] = min(need[before[step]], place)


def _quickest(
    first: Array,
    before: Array,
    kind_of: Array,
    start: Array,
    total: Array,
    idle: int,
    need: Array,
    reach: Array,
    offset: Array,
    value: Array,
    step_to: Array,
    start_of: Array,
) -> None:
    """Find the least sum of times with which the chain gets to every position in every state.

    Only positions from ``need[state]`` to ``reach[state]`` matter; entry ``offset[state] + position
    - need[state]`` is the position's. Along the positions the candidates for the last node's first
    layer form a window that only moves on, so that a queue of rising values gives its least.

    Parameters
    ----------
    first, before, kind_of
        See `States`.
    start
        See `_starts`.
    total
        (K, S + 1): sums of the times that are added up.
    idle
        1 if a node may be left out, otherwise 0.
    need, reach, offset
        (Z,): the positions of each state.
    value, step_to, start_of
        Written: the sum, the step that leads there, and where its run starts.
    """
    queue = start[0].copy()
    for place in range(len(value)):
        value[place] = NONE
    if need[0] <= 0:
        value[offset[0] - need[0]] = 0
    for state in range(1, len(reach)):
        for step in range(first[state], first[state + 1]):
            source, kind = before[step], kind_of[step]
            shift = offset[source] - need[source]
            head, tail = 0, 0
            position = need[source]
            for stop in range(need[state], reach[state] + 1):
                while position <= reach[source] and position <= stop - 1 + idle:
                    if value[shift + position] < NONE:
                        cost = value[shift + position] - total[kind, position]
                        while tail > head:
                            last = queue[tail - 1]
                            if value[shift + last] - total[kind, last] < cost:
                                break
                            tail -= 1
                        queue[tail] = position
                        tail += 1
                    position += 1
                while head < tail and queue[head] < start[kind, stop]:
                    head += 1
                if head < tail:
                    best = queue[head]
                    cost = value[shift + best] - total[kind, best] + total[kind, stop]
                    place = offset[state] + stop - need[state]
                    if cost < value[place]:
                        value[place] = cost
                        step_to[place] = step
                        start_of[place] = best
