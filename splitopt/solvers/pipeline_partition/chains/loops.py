"""The loops that the search calls: compiled, or as Python runs them where the work is small."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from splitopt.problems.base import BoolArray, FloatArray

PATIENCE = 20_000
"""Steps of the innermost loops that are left to Python, some hundredths of a second: compiling
takes longer, and so does loading what was compiled."""


class Loops(NamedTuple):
    """One version of all loops; see their modules. Both give the same numbers, bit for bit."""

    running_sums: Callable[..., FloatArray]
    longest_runs: Callable[..., tuple[float, float]]
    fill_spans: Callable[..., None]
    next_occupied: Callable[..., float]
    open_windows: Callable[..., bool]
    furthest_chain: Callable[..., tuple[int, int]]
    reach_all: Callable[..., tuple[int, BoolArray]]
    trace: Callable[..., tuple[int, float]]
    least_trips: Callable[..., FloatArray]
    retrace: Callable[..., tuple[int, float, float]]


@cache
def compiled_loops() -> Loops:
    """Return the loops for numba; each compiles at its first call, see `loading`."""
    from splitopt.solvers.pipeline_partition.chains import reach, spans, trips, windows

    return Loops(
        spans.running_sums,
        spans.longest_runs,
        spans.fill_spans,
        spans.next_occupied,
        windows.open_windows,
        windows.furthest_chain,
        reach.reach_all,
        reach.trace,
        trips.least_trips,
        trips.retrace,
    )


@cache
def plain_loops() -> Loops:
    """Return the loops as Python runs them."""
    from splitopt.problems.compiling import plain

    return Loops(*(plain(loop) for loop in compiled_loops()))


def loops_for(steps: float) -> Loops:
    """Choose the version for about so many steps of the innermost loops."""
    return compiled_loops() if steps > PATIENCE else plain_loops()
