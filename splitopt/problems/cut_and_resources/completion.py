"""Cuts completed to decisions: the best shares of the resources for them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources.data import CutAndResourcesData
from splitopt.problems.cut_and_resources.decision import (
    CutAndResourcesDecision,
    decision_from_shares,
)
from splitopt.problems.cut_and_resources.shares import (
    Allocation,
    allocate_for_makespan,
    allocate_for_sum,
)


def best_allocation(problem: CutAndResourcesData, cuts: IntArray) -> Allocation:
    """Compute the best shares for cuts; for ``"energy"``, those of the smallest sum of latencies.

    Shares are chosen for the plain problem, whose values are those of the problem itself.
    """
    plain = problem if problem.objective == "energy" else problem.plain
    seconds = plain.chosen(cuts)
    if not plain.shared_links:
        seconds[:2] = 0.0
    alpha = np.sqrt(seconds[:3]).T.copy()
    if plain.objective == "makespan":
        return allocate_for_makespan(alpha, seconds[3])
    return allocate_for_sum(alpha)


def complete_cuts(problem: CutAndResourcesData, cut: npt.ArrayLike) -> CutAndResourcesDecision:
    """Return the decision that `CutAndResources.complete` describes."""
    cuts = problem.checked_cuts(cut, "cut")
    return decision_from_shares(cuts, best_allocation(problem, cuts).shares)
