"""A quadratic program over the simplex in a handful of variables, in plain Python.

On three or four numbers a call of NumPy costs more than the arithmetic, and the root of a small
fleet is little else.
"""

from __future__ import annotations

from collections.abc import Sequence

FEW = 6
"""Up to so many variables plain Python is faster than NumPy."""
_RIDGE = 1e-14
"""At rounding level, so that a singular matrix has one minimum."""
_STATIONARY = -1e-15

Row = list[float]


def few_simplex_qp(
    hessian: Sequence[Sequence[float]], linear: Sequence[float], start: Sequence[float]
) -> Row:
    """Minimise 0.5 x H x + c x over the simplex by an active-set method, from a feasible start.

    Parameters
    ----------
    hessian, linear
        H, K x K and symmetric, which may be singular; and c (K).
    start
        Shape (K,): a point of the simplex.
    """
    size = len(linear)
    top = max(abs(value) for row in hessian for value in row) + max(map(abs, linear))
    if size == 1 or top == 0:
        return list(start)
    ridge = [[value / top for value in row] for row in hessian]
    for i in range(size):
        ridge[i][i] += _RIDGE
    slope = [value / top for value in linear]
    x = list(start)
    free = [value > 0 for value in x]
    for _ in range(4 * size + 20):
        goal = _stationary(ridge, slope, [i for i in range(size) if free[i]])
        if min(goal) >= 0:
            x = goal
            gradient = [
                sum(a * b for a, b in zip(row, x, strict=True)) + c
                for row, c in zip(ridge, slope, strict=True)
            ]
            inside = [gradient[i] for i in range(size) if free[i]]
            level = sum(inside) / len(inside)
            bound = [i for i in range(size) if not free[i]]
            if not bound:
                return x
            worst = min(bound, key=gradient.__getitem__)
            if gradient[worst] - level >= _STATIONARY:
                return x
            free[worst] = True
            continue
        ratio = [
            x[i] / (x[i] - goal[i]) if goal[i] < 0 else float("inf") for i in range(size)
        ]  # x is at least 0, so that it falls towards a goal below 0
        length = min(ratio)
        for i in range(size):
            x[i] = max(x[i] + length * (goal[i] - x[i]), 0.0)
            if ratio[i] <= length:
                x[i], free[i] = 0.0, False
    return x


def _stationary(hessian: Sequence[Row], linear: Row, index: list[int]) -> Row:
    """Minimise over the free variables under their sum alone, by elimination with pivots."""
    size = len(index)
    rows = [[hessian[i][j] for j in index] + [1.0, -linear[i]] for i in index]
    rows.append([1.0] * size + [0.0, 1.0])
    for k in range(size + 1):
        pivot = max(range(k, size + 1), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        head = rows[k]
        for i in range(k + 1, size + 1):
            factor = rows[i][k] / head[k]
            if factor:
                row = rows[i]
                for j in range(k, size + 2):
                    row[j] -= factor * head[j]
    found = [0.0] * (size + 1)
    for k in range(size, -1, -1):
        left = rows[k][-1] - sum(rows[k][j] * found[j] for j in range(k + 1, size + 1))
        found[k] = left / rows[k][k]
    spread = [0.0] * len(linear)
    for place, value in zip(index, found, strict=False):
        spread[place] = value
    return spread
