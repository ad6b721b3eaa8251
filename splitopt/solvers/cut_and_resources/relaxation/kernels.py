"""The inner loops over a block of devices, each twice: loops for numba, and NumPy.

A block is an array (4, L, B): square roots of download, upload and server seconds, and device
seconds, infinite where a cut is not allowed. Both versions choose the same cuts; their sums differ
by rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.compiling import compiled

BLOCK = 1024
"""Devices in a block: what a block needs stays in a core's cache."""

PACKED = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Order of the entries of a symmetric 3 x 3 matrix."""


class Kernels(NamedTuple):
    """One version of all loops."""

    fill_factors: Callable[..., None]
    fill_tables: Callable[..., None]
    choose_sum: Callable[..., None]
    choose_deadline: Callable[..., None]


@cache
def machine_code() -> Kernels:
    """Return the loops for numba; each compiles, or is loaded, at its first call."""
    loops = (_fill_factors, _fill_tables, _choose_sum, _choose_deadline)
    return Kernels(*(compiled(loop) for loop in loops))


def plain() -> Kernels:
    """Return the NumPy versions."""
    return Kernels(fill_factors, fill_tables, choose_sum, choose_deadline)


def _fill_factors(
    scales: tuple[FloatArray, ...],
    shapes: tuple[FloatArray, ...],
    barriers: FloatArray,
    mask: IntArray,
    start: int,
    block: FloatArray,
) -> None:
    layers, size = block.shape[1], block.shape[2]
    for part in range(4):
        scale, shape = scales[part], shapes[part]
        for cut in range(layers):
            row = block[part, cut]
            row[:] = 0.0
            for term in range(len(scale)):
                factor = shape[term, cut]
                if factor != 0.0:
                    column = scale[term, start : start + size]
                    for i in range(size):
                        row[i] += column[i] * factor
            if part < 3:
                for i in range(size):
                    row[i] = np.sqrt(row[i])
    if barriers.any():
        for cut in range(layers):
            barrier, row = barriers[cut], block[3, cut]
            for i in range(size):
                row[i] += barrier[mask[start + i]]


def fill_factors(
    scales: tuple[FloatArray, ...],
    shapes: tuple[FloatArray, ...],
    barriers: FloatArray,
    mask: IntArray,
    start: int,
    block: FloatArray,
) -> None:
    """Fill a block with the classes from `start` on, see `Factors` for the arguments."""
    rows = slice(start, start + block.shape[2])
    block[:] = 0.0
    for part in range(4):
        for scale, shape in zip(scales[part], shapes[part], strict=True):
            block[part] += scale[rows] * shape[:, None]
    np.sqrt(block[:3], out=block[:3])
    if barriers.any():
        block[3] += barriers[:, mask[rows]]


def _fill_tables(
    download: FloatArray,
    upload: FloatArray,
    server: FloatArray,
    device: FloatArray,
    allowed: BoolArray,
    start: int,
    block: FloatArray,
) -> None:
    layers, size = block.shape[1], block.shape[2]
    for i in range(size):
        for cut in range(layers):
            block[0, cut, i] = download[start + i, cut]
            block[1, cut, i] = upload[start + i, cut]
            block[2, cut, i] = server[start + i, cut]
            block[3, cut, i] = device[start + i, cut] if allowed[start + i, cut] else np.inf
    for part in range(3):
        for cut in range(layers):
            row = block[part, cut]
            for i in range(size):
                row[i] = np.sqrt(row[i])


def fill_tables(
    download: FloatArray,
    upload: FloatArray,
    server: FloatArray,
    device: FloatArray,
    allowed: BoolArray,
    start: int,
    block: FloatArray,
) -> None:
    """Fill a block with the rows of tables (N, L) from `start` on."""
    rows = slice(start, start + block.shape[2])
    for part, table in enumerate((download, upload, server)):
        np.sqrt(table[rows].T, out=block[part])
    block[3] = np.where(allowed[rows], device[rows], np.inf).T


def _choose_sum(
    block: FloatArray, price: FloatArray, count: IntArray, cuts: IntArray, sums: FloatArray
) -> None:
    layers, size = block.shape[1], block.shape[2]
    p, q, r = price[0], price[1], price[2]
    best = np.full(size, np.inf)
    choice = np.zeros(size, dtype=np.int64)
    # Cut by cut over all devices, so that the inner loop runs along memory and vectorises; a cut
    # that is not allowed has d infinite and never wins. Of equal cuts the first is kept.
    for cut in range(layers):
        a, b, c, d = block[0, cut], block[1, cut], block[2, cut], block[3, cut]
        for i in range(size):
            cost = ((d[i] + p * a[i]) + q * b[i]) + r * c[i]
            less = cost < best[i]
            best[i] = cost if less else best[i]
            choice[i] = cut if less else choice[i]
    sums[:] = 0.0
    for i in range(size):
        cut, weight = choice[i], count[i]
        cuts[i] = cut
        sums[0] += weight * best[i]
        for part in range(4):
            sums[1 + part] += weight * block[part, cut, i]


def choose_sum(
    block: FloatArray, price: FloatArray, count: IntArray, cuts: IntArray, sums: FloatArray
) -> None:
    """Choose the cheapest cut d + p . alpha of every device at prices (3,).

    Parameters
    ----------
    block, price
        The devices and the prices.
    count
        Shape (B,): how many devices each stands for.
    cuts
        Shape (B,): takes the 0-based cuts.
    sums
        Shape (5,): takes the sums of costs, of the three roots, and of device seconds.
    """
    costs = block[3] + price[0] * block[0]
    costs += price[1] * block[1]
    costs += price[2] * block[2]
    cuts[:] = costs.argmin(axis=0)
    rows = np.arange(block.shape[2])
    sums[0] = count @ costs[cuts, rows]
    sums[1:] = block[:, cuts, rows] @ count


def _choose_deadline(
    block: FloatArray,
    price: FloatArray,
    deadline: float,
    count: IntArray,
    cuts: IntArray,
    sums: FloatArray,
) -> None:
    layers, size = block.shape[1], block.shape[2]
    best = np.full(size, np.inf)
    choice = np.zeros(size, dtype=np.int64)
    ranks = 1 if (price[1:] == 0.0).all() else 3  # rows of V that are not zero
    work = np.empty(size)
    for cut in range(layers):
        a, b, c, d = block[0, cut], block[1, cut], block[2, cut], block[3, cut]
        work[:] = 0.0
        for rank in range(ranks):
            p, q, r = price[rank, 0], price[rank, 1], price[rank, 2]
            for i in range(size):
                root = (p * a[i] + q * b[i]) + r * c[i]
                work[i] += root * root
        # work is |V alpha|^2; a cut needs time left for it, or no work and exactly none left
        for i in range(size):
            left = deadline - d[i]
            cost = work[i] / left if left > 0 else np.inf
            cost = 0.0 if left == 0 and work[i] == 0 else cost
            less = cost < best[i]
            best[i] = cost if less else best[i]
            choice[i] = cut if less else choice[i]
    sums[:] = 0.0
    for i in range(size):
        cut, weight = choice[i], count[i]
        cuts[i] = cut
        sums[0] += weight * best[i]
        left = deadline - block[3, cut, i]
        if left > 0:
            part = weight / left
            a, b, c = block[0, cut, i], block[1, cut, i], block[2, cut, i]
            sums[1] += part * best[i]
            sums[2] += part * (a * a)
            sums[3] += part * (b * b)
            sums[4] += part * (c * c)
            sums[5] += part * (a * b)
            sums[6] += part * (a * c)
            sums[7] += part * (b * c)


def choose_deadline(
    block: FloatArray,
    price: FloatArray,
    deadline: float,
    count: IntArray,
    cuts: IntArray,
    sums: FloatArray,
) -> None:
    """Choose the cheapest cut |V alpha|^2 / (T - d) of every device; infinite if it has none.

    Parameters
    ----------
    block, deadline
        The devices and the deadline T.
    price
        Shape (3, 3): the matrix V, whose rows below the first may be zero.
    count
        Shape (B,): how many devices each stands for.
    cuts
        Shape (B,): takes the 0-based cuts.
    sums
        Shape (8,): takes the sums of costs, of costs / (T - d), and of the entries `PACKED` of
        alpha alpha^T / (T - d).
    """
    work = np.zeros(block.shape[1:])
    for p, q, r in price[: 1 if not price[1:].any() else 3]:
        work += (p * block[0] + q * block[1] + r * block[2]) ** 2
    service = deadline - block[3]
    costs = np.full_like(work, np.inf)
    np.divide(work, service, out=costs, where=service > 0)
    costs[(service == 0) & (work == 0)] = 0.0
    cuts[:] = costs.argmin(axis=0)
    rows = np.arange(block.shape[2])
    best, left = costs[cuts, rows], service[cuts, rows]
    part = np.divide(count, left, out=np.zeros_like(left), where=left > 0)
    alpha = block[:3, cuts, rows]
    sums[0] = (count * best).sum()
    sums[1] = part[left > 0] @ best[left > 0]
    for place, (i, j) in enumerate(PACKED):
        sums[2 + place] = part @ (alpha[i] * alpha[j])
