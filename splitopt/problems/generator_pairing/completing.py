"""Covers completed greedily: the cheapest sender for each class that it newly covers."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.generator_pairing.data import GeneratorPairingData
from splitopt.problems.generator_pairing.decision import GeneratorPairingDecision


def greedy_senders(
    costs: FloatArray, covers: BoolArray, need: IntArray, allowed: BoolArray
) -> list[int]:
    """Choose senders of one device by Chvatal's rule: the least cost per class newly covered.

    Parameters
    ----------
    costs
        Shape (D,).
    covers
        Shape (D, M): over the missing classes.
    need
        Shape (M,): how many senders each still needs.
    allowed
        Shape (D,): who may send.

    Returns
    -------
    In the order of choice; ties go to the lowest index. It ends early where nobody helps.
    """
    left, free, chosen = need.copy(), allowed.copy(), []
    counts = covers.astype(np.float64)
    while (left > 0).any():
        gain = counts @ (left > 0)
        useful = np.flatnonzero(free & (gain > 0))
        if not useful.size:
            break
        best = int(useful[np.argmin(costs[useful] / gain[useful])])
        chosen.append(best)
        free[best] = False
        left -= covers[best].astype(np.int64)
    return chosen


def completed(
    problem: GeneratorPairingData, decision: GeneratorPairingDecision
) -> GeneratorPairingDecision:
    """Return a decision with senders added where classes lack them, device by device."""
    limits = problem.limits
    sends = np.bincount(decision.pairs[1], minlength=problem.devices)
    found = []
    for i, row in enumerate(decision.senders):
        missing = np.flatnonzero(problem.need[i])
        covers = problem.covers[:, missing]
        others = row[row != i]
        left = np.maximum(problem.need[i, missing] - covers[others].sum(axis=0), 0)
        allowed = np.ones(problem.devices, dtype=np.bool_)
        allowed[row] = allowed[i] = False
        if limits is not None:
            allowed &= sends < limits
        added = greedy_senders(problem.cost[i], covers, left, allowed)
        sends[added] += 1
        found.append(np.concatenate((row, np.array(added, dtype=np.int64))))
    return GeneratorPairingDecision(tuple(found))
