"""The loops that `search` calls: compiled, or as Python runs them where the work is small."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from splitopt.problems.base import BoolArray, FloatArray
from splitopt.problems.compiling import plain
from splitopt.solvers.pipeline_partition.chains import bracket, reach, tables, trips, windows
from splitopt.solvers.pipeline_partition.chains.graph import Index

_PATIENCE = 300_000
"""Steps that Python does in all before the loops are compiled, or loaded; about half a second."""


class Loops(NamedTuple):
    """One version of all loops; see their modules."""

    running_sums: Callable[..., tuple[FloatArray, FloatArray]]
    memory_ends: Callable[..., Index]
    ends_of_range: Callable[..., tuple[float, float]]
    advance: Callable[..., int]
    open_windows: Callable[..., bool]
    reach: Callable[..., tuple[int, BoolArray]]
    least_trips: Callable[..., FloatArray]
    retrace: Callable[..., tuple[int, float, float]]


@cache
def compiled_loops() -> Loops:
    """Give the loops for numba; each compiles at its first call."""
    return Loops(
        tables.running_sums,
        tables.memory_ends,
        bracket.ends_of_range,
        bracket.advance,
        windows.open_windows,
        reach.reach,
        trips.least_trips,
        trips.retrace,
    )


@cache
def plain_loops() -> Loops:
    """Give the loops as Python runs them."""
    return Loops(*(plain(loop) for loop in compiled_loops()))


class _Spent:
    """Steps done in Python so far in this process."""

    steps = 0


def loops_for(steps: int) -> Loops:
    """Choose the version for about so many steps; both give the same numbers, bit for bit."""
    if _Spent.steps + steps > _PATIENCE:
        _Spent.steps = _PATIENCE
        return compiled_loops()
    _Spent.steps += steps
    return plain_loops()
