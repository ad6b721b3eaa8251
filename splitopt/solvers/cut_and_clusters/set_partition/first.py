"""A first partition where every cluster needs a cut that all of its devices may take.

How many clusters of each size cut where, and which device is in one of them, is a transport with
whole numbers of clusters: devices to cuts, and at each cut as many devices as its clusters hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_clusters import CutAndClusters
from splitopt.solvers.backends.highs import silent_highs
from splitopt.solvers.cut_and_clusters.enumeration import NO_PARTITION


def first_clusters(problem: CutAndClusters) -> list[IntArray]:
    """Return clusters of the right sizes, each with a cut that all of its devices may take.

    Raises
    ------
    InfeasibleError
        There are none.
    """
    sizes, counts = np.unique(problem.cluster_sizes, return_counts=True)
    devices, cuts = problem.devices, len(problem.cuts)
    cut_of, formed = _assigned(problem, sizes, counts)
    found: list[IntArray] = []
    for cut in range(cuts):
        free = [n for n in range(devices) if cut_of[n] == cut]
        for size, often in zip(sizes.tolist(), formed[cut].tolist(), strict=True):
            for _ in range(often):
                found.append(np.array(free[:size], dtype=np.int64))
                free = free[size:]
    return found


def _assigned(
    problem: CutAndClusters, sizes: IntArray, counts: IntArray
) -> tuple[IntArray, IntArray]:
    """Return the cut of each device (N,), and how many clusters of each size cut where (V, K)."""
    import highspy

    devices, cuts = problem.devices, len(problem.cuts)
    highs: Any = silent_highs()
    highs.setOptionValue("parallel", "off")
    # Columns: device n at cut v, then clusters of size k at cut v. Rows: every device has a cut;
    # at every cut the devices fill the clusters; every size has as many clusters as it should.
    sides = np.concatenate((np.ones(devices), np.zeros(cuts), counts)).astype(np.float64)
    empty = np.zeros(0, dtype=np.int32)
    highs.addRows(len(sides), sides, sides, 0, np.zeros(len(sides), np.int32), empty, np.zeros(0))
    for n in range(devices):
        for v in range(cuts):
            rows = np.array([n, devices + v], dtype=np.int32)
            highs.addCol(0.0, 0.0, float(problem.mask[v, n]), 2, rows, np.ones(2))
    for v in range(cuts):
        for k, size in enumerate(sizes.tolist()):
            rows = np.array([devices + v, devices + cuts + k], dtype=np.int32)
            highs.addCol(0.0, 0.0, float(counts[k]), 2, rows, np.array([-float(size), 1.0]))
    total = (devices + len(sizes)) * cuts
    whole = np.full(total, highspy.HighsVarType.kInteger)
    highs.changeColsIntegrality(total, np.arange(total, dtype=np.int32), whole)
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise InfeasibleError(NO_PARTITION)
    values = np.rint(highs.getSolution().col_value).astype(np.int64)
    placed = values[: devices * cuts].reshape(devices, cuts)
    return placed.argmax(axis=1), values[devices * cuts :].reshape(cuts, len(sizes))
