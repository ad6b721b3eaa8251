"""The compiled passes of annealing: random moves of one device among blocks of resources."""

from __future__ import annotations

import math

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper


@helper
def largest(s: FloatArray) -> float:
    """Return the largest eigenvalue of a packed symmetric 3 x 3 matrix (6,), to about 1e-8.

    The diagonal comes first, then entries 12, 13 and 23 times the square root of two; the roots of
    the characteristic polynomial are those of the trigonometric formula.
    """
    middle = (s[0] + s[1] + s[2]) / 3
    a, b, c = s[0] - middle, s[1] - middle, s[2] - middle
    d, e, f = s[3] * s[3] / 2, s[4] * s[4] / 2, s[5] * s[5] / 2
    spread = math.sqrt((a * a + b * b + c * c + 2 * (d + e + f)) / 6)
    if spread <= 0:
        return float(middle)
    # the product of all three off-diagonal entries, whose factors carry a root of two each
    product = s[3] * s[4] * s[5] / (2 * math.sqrt(2.0))
    determinant = a * (b * c - f) - b * e - c * d + 2 * product
    angle = math.acos(min(1.0, max(-1.0, determinant / (2 * spread**3)))) / 3
    return float(middle + 2 * spread * math.cos(angle))


@helper
def raised(power: float) -> float:
    """Return exp(power), at most about 1e304: what is that much worse is refused anyway."""
    return math.exp(min(power, 700.0))


@helper
def softened(level: FloatArray, weight: FloatArray, top: float, softness: float) -> float:
    """Return sum weight exp((level - top) / softness)."""
    total = 0.0
    for k in range(len(level)):
        total += weight[k] * math.exp((level[k] - top) / softness)
    return total


@compiled
def totals_of(
    vector: FloatArray, block: IntArray, now: IntArray, outside: FloatArray
) -> FloatArray:
    """Return the packed matrix of each block, shape (B, 6), for choices `now` (T,)."""
    total = outside.copy()
    for row in range(len(now)):
        total[block[row, now[row]]] += vector[row, now[row]]
    return total


@compiled
def anneal_pass(
    vector: FloatArray,
    block: IntArray,
    listed: tuple[IntArray, IntArray],
    weight: FloatArray,
    total: FloatArray,
    plans: IntArray,
    drawn: FloatArray,
    cooling: FloatArray,
) -> None:
    """Try a random move of one device after the other, and keep those that heat allows.

    The energy is softness * log sum weight exp(largest eigenvalue / softness) over the blocks.

    Parameters
    ----------
    vector
        Shape (T, W, 6): what each row adds to its block at each of its columns, packed.
    block
        Shape (T, W): the block of each column.
    listed
        Row and column of each of M ways to go, shapes (M,).
    weight
        Shape (B,): weights of the blocks.
    total
        Shape (B, 6): the blocks' matrices, which are changed.
    plans
        Shape (2, T): the columns at present and the best ones so far, which are changed.
    drawn
        Shape (D, 2): random numbers in [0, 1), a pair for each move.
    cooling
        Shape (5,): softness, heat, what each is multiplied by at every move, and the smallest of
        the largest eigenvalues so far. Changed.
    """
    rows, columns = listed
    now, best = plans[0], plans[1]
    level = np.empty(len(total))
    for k in range(len(total)):
        level[k] = largest(total[k])
    one, other = np.empty(6), np.empty(6)
    for turn in range(len(drawn)):
        cooling[0] *= cooling[2]
        cooling[1] *= cooling[3]
        softness = cooling[0]
        way = int(drawn[turn, 0] * len(rows))
        row, to = rows[way], columns[way]
        a = now[row]
        if to == a:
            continue
        left, joined = block[row, a], block[row, to]
        top = level.max()
        whole = softened(level, weight, top, softness)
        for i in range(6):
            one[i] = total[left, i] - vector[row, a, i]
            other[i] = total[joined, i] + vector[row, to, i]
        if left == joined:
            for i in range(6):
                one[i] += vector[row, to, i]
        level_left = largest(one)
        after = whole + weight[left] * (
            raised((level_left - top) / softness) - math.exp((level[left] - top) / softness)
        )
        level_joined = level_left
        if left != joined:
            level_joined = largest(other)
            after += weight[joined] * (
                raised((level_joined - top) / softness) - math.exp((level[joined] - top) / softness)
            )
        rise = softness * math.log(max(after, 1e-300) / whole)
        if rise > 0 and drawn[turn, 1] >= math.exp(-rise / cooling[1]):
            continue
        now[row] = to
        level[left], level[joined] = level_left, level_joined
        for i in range(6):
            total[left, i] = one[i]
            if left != joined:
                total[joined, i] = other[i]
        if level.max() < cooling[4]:
            cooling[4] = level.max()
            for n in range(len(now)):
                best[n] = now[n]
