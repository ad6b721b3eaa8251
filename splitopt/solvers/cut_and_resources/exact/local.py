"""Rounding a mixture of columns and improving a plan by moving one or two devices at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cut_and_resources.exact.space import Space
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.measures import (
    EigenvalueMeasure,
    Measure,
    SumMeasure,
)

_GOLDEN = 0.6180339887498949
_TURNS = 5
_ALIKE = 1e-12
"""A plan that is worse by no more than this, relatively, may be better but for rounding."""


def rounded(columns: list[IntArray], weights: FloatArray, count: IntArray, layers: int) -> IntArray:
    """Round a mixture of vectors of cuts (C,) to counts (C, L).

    A class splits its devices in proportion to the weights. What is left over, and classes of one
    device, pick a column by a sequence of low discrepancy, so that the totals stay near the mean.
    """
    rows = np.arange(len(count))
    counts = np.zeros((len(count), layers), dtype=np.int64)
    left = count.copy()
    for column, weight in zip(columns, weights, strict=True):
        part = np.minimum(np.floor(count * weight).astype(np.int64), left)
        np.add.at(counts, (rows, column), part)
        left -= part
    table = np.array(columns)
    mixed = np.flatnonzero((table != table[0]).any(axis=0))
    ends = np.cumsum(weights)
    place = np.full(len(count), 0.5)
    place[mixed] = (np.arange(1, len(mixed) + 1) * _GOLDEN) % 1.0
    for turn in range(int(left.max(initial=0))):
        todo = np.flatnonzero(left > turn)
        pick = np.searchsorted(ends, ((place[todo] + turn * _GOLDEN) % 1.0) * ends[-1])
        pick = np.minimum(pick, len(columns) - 1)
        np.add.at(counts, (todo, table[pick, todo]), 1)
    return counts


def may_gain(fleet: Fleet, is_sum: bool, counts: IntArray, best: float) -> bool:
    """Return whether counts (C, L) may be better than a value that was reached, up to rounding.

    They may wherever there are budgets, which say by themselves whether counts are a plan.
    """
    if fleet.use is not None or not np.isfinite(best):
        return True
    total = fleet.total(counts, None if is_sum else best)
    if total is None:
        return False
    measure = SumMeasure() if is_sum else EigenvalueMeasure(fleet.layout.packing)
    value = float(measure.values(total[None])[0])
    return value < (best if is_sum else 1.0) * (1 + _ALIKE)


def improve(
    space: Space,
    measure: Measure,
    used: IntArray,
    price: FloatArray,
    moves: int,
    steps: int,
    halt: Callable[[], bool],
) -> IntArray:
    """Move one or two devices to other cuts as long as that lowers the measure.

    Parameters
    ----------
    space
        The undecided rows.
    measure
        What to lower.
    used
        Counts (T, W) to start from.
    price
        Prices (K,) by which the moves that cost least are picked.
    moves
        How many single moves to keep; all their pairs are tried.
    steps
        Most steps to take.
    halt
        Whether to stop before the next step.
    """
    used = used.copy()
    total = space.total(used)
    value = float(measure.values(total[None])[0])
    costs = space.vector @ price
    softness = 1e-3 * abs(value)
    turn = 0
    for _ in range(steps):
        if halt():
            break
        slope = space.vector @ measure.model(total, softness).gradient if value else costs
        row, a, b = _candidates(used, space.high, (costs, slope), moves, turn)
        if not len(row):
            break
        chosen, reached = _best_step(space, measure, used, total, row, a, b)
        if reached < value - 1e-14 * abs(value):
            for k in chosen:
                used[row[k], a[k]] -= 1
                used[row[k], b[k]] += 1
            total = space.total(used)
            value = float(measure.values(total[None])[0])
            turn = 0
        elif turn == _TURNS:
            break
        else:
            turn += 1
    return used


def _best_step(
    space: Space,
    measure: Measure,
    used: IntArray,
    total: FloatArray,
    row: IntArray,
    a: IntArray,
    b: IntArray,
) -> tuple[list[int], float]:
    """Return the best move or pair of moves, as places in the list, and the value it reaches."""
    change = space.vector[row, b] - space.vector[row, a]
    single, reached = measure.smallest(total + change, sure=False)
    i, j = np.triu_indices(len(row), 1)
    fits = (row[i] != row[j]) | _twice(used, space.high, row, a, b, i, j)
    i, j = i[fits], j[fits]
    if len(i):
        pair, value = measure.smallest(total + change[i] + change[j], sure=False)
        if value < reached:
            return [int(i[pair]), int(j[pair])], value
    return [single], reached


def moves_of(used: IntArray, high: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return all moves of one device: the row, the column it leaves, and the one it enters."""
    row, a = np.nonzero(used > 0)
    room = (used < high)[row]
    room[np.arange(len(row)), a] = False
    place, b = np.nonzero(room)
    return row[place], a[place], b


def _candidates(
    used: IntArray,
    high: IntArray,
    costs: tuple[FloatArray, FloatArray],
    moves: int,
    turn: int,
) -> tuple[IntArray, IntArray, IntArray]:
    """Return moves (row, from column, to column): a third by each table of costs, a third mixed.

    At the dual prices no move gains, and those that cost least are likely part of a better plan;
    at the gradient of the present plan some moves gain. A pair is often one of each. Where prices
    tie, any move may be the one, and each turn takes others from everywhere.
    """
    row, a, b = moves_of(used, high)
    if len(row) <= moves:
        return row, a, b
    mixed = (np.arange(1, len(row) + 1) * (turn + 1) * _GOLDEN) % 1.0
    ranks = [cost[row, b] - cost[row, a] for cost in costs]
    kept = np.unique([np.argpartition(rank, moves // 3)[: moves // 3] for rank in (*ranks, mixed)])
    return row[kept], a[kept], b[kept]


def _twice(
    used: IntArray,
    high: IntArray,
    row: IntArray,
    a: IntArray,
    b: IntArray,
    i: IntArray,
    j: IntArray,
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether two moves in the same row fit together."""
    spare = (used[row[i], a[i]] >= 2) | (a[i] != a[j])
    room = (high - used)[row[i], b[i]]
    return np.asarray(spare & ((room >= 2) | (b[i] != b[j])))
