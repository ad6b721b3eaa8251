"""Improving a plan where many resources are shared: moves ranked by a quadratic model.

With three resources every pair of moves is evaluated (`local.improve`). With dozens a measure costs
too much for that, and the largest of many eigenvalues only tells of moves on one server. The
softened measure tells of all; its quadratic model ranks all pairs by one product of matrices, and
the best of them are evaluated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cut_and_resources.exact.local import moves_of
from splitopt.solvers.cut_and_resources.exact.space import Space
from splitopt.solvers.cut_and_resources.relaxation.measures import Measure, Model

NUMBERS = 10
"""Totals of more numbers than this are wide."""
_SOFTNESS = (1e-2, 1e-3, 1e-4)
"""How far kinks are rounded off, relative to the value, in turn."""
_PAIRS = 48
"""Pairs that are evaluated at each step."""


def improve_wide(
    space: Space,
    measure: Measure,
    used: IntArray,
    price: FloatArray,
    moves: int,
    steps: int,
    halt: Callable[[], bool],
) -> IntArray:
    """Move one or two devices to other cuts as long as that lowers the softened measure.

    The parameters are those of `local.improve`; what is returned has the smallest measure of all
    that was seen.
    """
    used = used.copy()
    total = space.total(used)
    best, least = used.copy(), float(measure.values(total[None])[0])
    for softness in _SOFTNESS:
        scale = softness * abs(least)
        if scale == 0:
            break
        for _ in range(steps):
            if halt():
                return best
            step = _step(space, measure, used, total, price, moves, scale)
            if step is None:
                break
            for row, a, b in step:
                used[row, a] -= 1
                used[row, b] += 1
            total = space.total(used)
            value = float(measure.values(total[None])[0])
            if value < least:
                best, least = used.copy(), value
    return best


def _step(
    space: Space,
    measure: Measure,
    used: IntArray,
    total: FloatArray,
    price: FloatArray,
    moves: int,
    softness: float,
) -> list[tuple[int, int, int]] | None:
    """Return the best move or pair of moves, None if none lowers the softened measure."""
    row, a, b = moves_of(used, space.high)
    if not row.size:
        return None
    model = measure.model(total, softness)
    if len(row) > 4 * moves:
        costs = (space.vector @ model.gradient, space.vector @ price)
        row, a, b = _cheapest(row, a, b, [cost[row, b] - cost[row, a] for cost in costs], 2 * moves)
    change = space.vector[row, b] - space.vector[row, a]
    alone = change @ model.gradient + 0.5 * np.einsum("mk,mk->m", change @ model.hessian, change)
    if len(row) > moves:
        row, a, b = _cheapest(row, a, b, [alone, change @ price], moves // 2)
        change = space.vector[row, b] - space.vector[row, a]
        alone = change @ model.gradient
        alone += 0.5 * np.einsum("mk,mk->m", change @ model.hessian, change)
    i, j = _pairs(model, row, change, alone)
    changes = np.concatenate((change, change[i] + change[j]))
    few = np.concatenate((np.argsort(alone)[:_PAIRS], np.arange(len(row), len(changes))))
    values = np.array([measure.soft_value(total + changes[place], softness) for place in few])
    first = int(values.argmin())
    if not values[first] < model.value - 1e-13 * abs(model.value):
        return None
    chosen = int(few[first])
    places = [chosen] if chosen < len(row) else [int(x[chosen - len(row)]) for x in (i, j)]
    return [(int(row[k]), int(a[k]), int(b[k])) for k in places]


def _cheapest(
    row: IntArray, a: IntArray, b: IntArray, ranks: list[FloatArray], each: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the moves that are among the first by one of some ranks."""
    kept = np.unique([np.argpartition(rank, each)[:each] for rank in ranks])
    return row[kept], a[kept], b[kept]


def _pairs(
    model: Model, row: IntArray, change: FloatArray, alone: FloatArray
) -> tuple[IntArray, IntArray]:
    """Return the pairs of moves, in different rows, that gain most by the model."""
    both = change @ model.hessian @ change.T
    both += alone[:, None]
    both += alone
    both[row[:, None] >= row] = np.inf  # each pair once
    flat = both.ravel()
    size = min(_PAIRS, len(flat) - 1)
    found = np.argpartition(flat, size)[:size] if size > 0 else np.empty(0, dtype=np.int64)
    found = found[np.isfinite(flat[found])]
    i, j = np.divmod(found, len(row))
    return i, j
