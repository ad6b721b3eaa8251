"""Cuts completed to decisions: the best shares of the resources for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources.data import CutAndResourcesData
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.shares import (
    Allocation,
    allocate_for_makespan,
    allocate_for_sum,
)


def best_allocation(problem: CutAndResourcesData, cuts: IntArray) -> Allocation:
    """Compute the best shares for cuts; for ``"energy"``, those of the smallest sum of latencies.

    Shares are chosen for the plain problem, whose values are those of the problem itself.
    """
    plain, alpha, own = sharing_numbers(problem, cuts)
    alpha = alpha.copy()
    if plain.objective == "makespan":
        return allocate_for_makespan(alpha, own)
    return allocate_for_sum(alpha)


def sharing_numbers(
    problem: CutAndResourcesData, cuts: Any
) -> tuple[CutAndResourcesData, FloatArray, FloatArray]:
    """Return the problem whose shares are chosen, and its numbers for some cuts.

    These are alpha (K, R), the roots of the seconds at the full resource, 0 where no share divides
    them, and the seconds (K,) of a device's own, in the notation of the module `shares`.
    """
    plain = problem if problem.objective == "energy" else problem.plain
    seconds = plain.chosen(cuts)
    if not plain.shared_links:
        seconds[:2] = 0.0
    return plain, np.sqrt(seconds[:-1]).T, seconds[-1]


def complete_cuts(problem: CutAndResourcesData, cut: npt.ArrayLike) -> CutAndResourcesDecision:
    """Return the decision that `CutAndResources.complete` describes."""
    cuts = problem.checked_cuts(cut, "cut")
    return problem.decision_of(cuts, best_allocation(problem, cuts).shares)
