"""Rules that fix the shares first: equal, or proportional to weights such as batch sizes.

They are what people do without an optimizer. `EqualShare` and `ProportionalShare` then give every
device its best cut, exactly optimal for those shares, since with fixed shares the devices do not
depend on each other; the rules of the module `baselines` choose the cuts in other ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.relaxation import LoadsRelaxation, root_bound
from splitopt.solvers.cut_and_resources.repair import repaired


def equal_shares(problem: CutAndResources) -> FloatArray:
    """Return 1/N of everything to everybody, shape (N,)."""
    return np.full(problem.devices, 1.0 / problem.devices)


def everything(problem: CutAndResources, share: FloatArray) -> FloatArray:
    """Return a share (N,) of every resource, shape (N, R)."""
    return np.repeat(share[:, None], len(problem.resources), axis=1)


def proportional_shares(problem: CutAndResources) -> FloatArray:
    """Return everybody a share proportional to its weight, shape (N,)."""
    assert problem.weights is not None  # without_weights() comes first
    relative = problem.weights / problem.weights.max()
    return np.asarray(relative / relative.sum())


def without_weights(problem: CutAndResources) -> str | None:
    """Report what keeps a problem's weights from giving everybody a share, None if nothing does."""
    if problem.weights is None:
        return "needs 'weights' (batch sizes) in the data to be proportional to"
    if not (problem.weights > 0).all():
        return "needs every one of 'weights' to be above 0"
    return None


def fastest_cuts(problem: CutAndResources, shares: FloatArray) -> IntArray:
    """Return every device's fastest allowed cut (N,), 1..L, for its shares (N, R) of the resources.

    A device without a share of a resource cannot use the cuts that need it; of two equally fast
    cuts the shallower is taken. Where they exceed a budget, devices move to other cuts, those first
    that lose least for what they free, see `repaired`.
    """
    latency = problem.own_s.copy()
    for i, seconds in enumerate(np.moveaxis(problem.work_s, 2, 0)):
        share = np.broadcast_to(shares[:, i, None], seconds.shape)
        slow = np.divide(seconds, share, out=np.full_like(seconds, np.inf), where=share > 0)
        latency += np.where(seconds > 0, slow, 0.0)
    latency = np.where(problem.allowed, latency, np.inf)
    cuts = np.asarray(latency.argmin(axis=1) + 1)
    kept = repaired(problem, cuts, latency)
    return cuts if kept is None else kept


def propose_rule(
    problem: CutAndResources, search: Search, cuts: IntArray, share: FloatArray
) -> StopReason:
    """Propose cuts (N,) with a share (N,) of everything, and prove the problem's cheap bound."""
    search.iterations = 1
    search.propose(problem.decision_of(cuts, everything(problem, share)))
    search.prove(root_bound(problem, search.is_over))
    return "converged"


@dataclass(frozen=True)
class EqualShare(LoadsRelaxation, Solver[CutAndResources]):
    """Every device gets 1/N of everything, and its best cut under that."""

    name: ClassVar[str] = "equal_share"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndResources.objectives)
    kind: ClassVar[Kind] = "rule"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Return equal shares and the best cut under them."""
        share = equal_shares(problem)
        cuts = fastest_cuts(problem, everything(problem, share))
        return propose_rule(problem, search, cuts, share)


@dataclass(frozen=True)
class ProportionalShare(LoadsRelaxation, Solver[CutAndResources]):
    """Every device gets a share proportional to its weight (its batch size in DP-MORA)."""

    name: ClassVar[str] = "proportional_share"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndResources.objectives)
    kind: ClassVar[Kind] = "rule"

    def refusal(self, problem: CutAndResources) -> str | None:
        """Reject a problem without weights, or with weights that give nobody anything."""
        return without_weights(problem)

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Return proportional shares and the best cut under them."""
        share = proportional_shares(problem)
        cuts = fastest_cuts(problem, everything(problem, share))
        return propose_rule(problem, search, cuts, share)
