"""The integer program over some pairs of sender and receiver: what a device adds to it.

Variables: ``send`` for every pair that is left; where quality counts ``source`` for every pair and
missing class; and, to find out what cannot be covered, ``short`` for every missing class of a
device: how many senders it lacks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.solvers.backends.integer_program import Matrix
from splitopt.solvers.generator_pairing.fleet import Offers


def add_device(
    matrix: Matrix,
    offers: Offers,
    kept: IntArray,
    quality: bool,
    caps: Mapping[int, int],
    short: bool = False,
) -> list[int]:
    """Add the rows and columns of one device to a program.

    Parameters
    ----------
    matrix
        The program.
    offers, kept
        Who can send, and the places of those that are left.
    quality
        Whether their quality counts.
    caps
        Sender -> the row of its cap.
    short
        Whether classes may lack senders, at a cost of 1 each, and sends cost nothing.

    Returns
    -------
    The columns of the sends, in the order of `kept`.
    """
    need = offers.need.astype(np.float64).tolist()
    covered = [matrix.row(n, math.inf) for n in need]
    sourced = [matrix.row(n, n) for n in need] if quality else []
    sends = []
    for k in kept.tolist():
        part = slice(int(offers.starts[k]), int(offers.starts[k + 1]))
        classes, lacks = offers.bits[part].tolist(), offers.lacks[part].tolist()
        rows, values = [covered[c] for c in classes], [1.0] * len(classes)
        if (cap := caps.get(int(offers.senders[k]))) is not None:
            rows.append(cap)
            values.append(1.0)
        if quality:
            links = [matrix.row(-math.inf, 0.0) for _ in classes]
            rows, values = rows + links, values + [-1.0] * len(links)
            for c, lack, link in zip(classes, lacks, links, strict=True):
                matrix.add(lack, [sourced[c], link], [1.0, 1.0])
        cost = 0.0 if short else float(offers.costs[k])
        sends.append(matrix.add(cost, rows, values, whole=True))
    if short:
        for row, n in zip(covered, need, strict=True):
            matrix.add(1.0, [row], [1.0], most=n)
    return sends
