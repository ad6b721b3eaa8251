"""Compiled loop: where each vertex can be at all under a cap, by a relaxation.

The relaxation forgets which boundaries a vertex really reaches and keeps the furthest alone. From
the end backwards it keeps the first boundary from which the rest can still be done. Between the
two lies the window of the vertex; a cap is refuted when the empty chain has none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.problems.compiling import compiled
from splitopt.solvers.pipeline_partition.chains.graph import Index
from splitopt.solvers.pipeline_partition.chains.layout import Chains
from splitopt.solvers.pipeline_partition.chains.tables import crossings, longest_runs, reaches


class Windows(NamedTuple):
    """Room for what a cap allows, made once and filled for cap after cap."""

    ends: Index
    far: Index
    near: Index
    """(T, S + 1), see `longest_runs` and `reaches`."""
    below: Index
    above: Index
    """(R, S + 1), see `crossings`."""
    furthest: Index
    """(V,): last boundary that a vertex can be at."""
    needed: Index
    """(V,): first boundary at which it is of use."""
    offset: IntArray
    """(V + 1,): where its window begins when all stand in one array."""


def windows_for(chains: Chains) -> Windows:
    """Make room for the windows of a problem."""
    kinds, width = chains.memory_end.shape
    rows, vertices = chains.busy_s.shape[0], chains.accept.shape[0]
    return Windows(
        ends=np.empty((kinds, width), dtype=np.int32),
        far=np.empty((kinds, width), dtype=np.int32),
        near=np.empty((kinds, width), dtype=np.int32),
        below=np.empty((rows, width), dtype=np.int32),
        above=np.empty((rows, width), dtype=np.int32),
        furthest=np.empty(vertices, dtype=np.int32),
        needed=np.empty(vertices, dtype=np.int32),
        offset=np.empty(vertices + 1, dtype=np.int64),
    )


@compiled
def open_windows(chains: Chains, cap: float, windows: Windows) -> bool:
    """Fill the windows for a cap in s; False if the cap is refuted."""
    layers = chains.up.shape[0] - 1
    longest_runs(chains, cap, windows.ends)
    reaches(chains, cap, windows.ends, windows.far, windows.near)
    crossings(chains, cap, windows.below, windows.above)
    if not _forward(chains, windows, layers):
        return False
    _backward(chains, windows, layers)
    if windows.needed[0] > 0:
        return False
    _place(windows)
    return True


@compiled
def _forward(chains: Chains, windows: Windows, layers: int) -> bool:
    furthest, far = windows.furthest, windows.far
    furthest[:] = -1
    furthest[0] = 0
    for group in range(chains.group_first.shape[0] - 1):
        move, last = chains.move_first[group], chains.move_first[group + 1]
        while move < last:
            klass = chains.kind_class[chains.move_kind[move]]
            start = -1
            for vertex in range(chains.group_first[group], chains.group_first[group + 1]):
                if furthest[vertex] >= 0:
                    row = chains.row[chains.vertex_class[vertex], klass]
                    start = max(start, windows.below[row, furthest[vertex]])
            while move < last and chains.kind_class[chains.move_kind[move]] == klass:
                if start >= 0:
                    end = far[chains.move_kind[move], start]
                    to = chains.move_to[move]
                    furthest[to] = max(furthest[to], end)
                move += 1
    for vertex in range(furthest.shape[0]):
        if chains.accept[vertex] and furthest[vertex] >= layers:
            return True
    return False


@compiled
def _backward(chains: Chains, windows: Windows, layers: int) -> None:
    furthest, needed, near = windows.furthest, windows.needed, windows.near
    for vertex in range(needed.shape[0]):
        needed[vertex] = layers if chains.accept[vertex] else layers + 1
    for group in range(chains.group_first.shape[0] - 2, -1, -1):
        move, last = chains.move_first[group], chains.move_first[group + 1]
        while move < last:
            klass = chains.kind_class[chains.move_kind[move]]
            start = layers + 1
            while move < last and chains.kind_class[chains.move_kind[move]] == klass:
                to = chains.move_to[move]
                if needed[to] <= furthest[to]:
                    start = min(start, near[chains.move_kind[move], needed[to]])
                move += 1
            if start > layers:
                continue
            for vertex in range(chains.group_first[group], chains.group_first[group + 1]):
                row = chains.row[chains.vertex_class[vertex], klass]
                needed[vertex] = min(needed[vertex], windows.above[row, start])


@compiled
def _place(windows: Windows) -> None:
    offset = windows.offset
    offset[0] = 0
    for vertex in range(windows.needed.shape[0]):
        width = windows.furthest[vertex] - windows.needed[vertex] + 1
        offset[vertex + 1] = offset[vertex] + max(0, width)
