"""What planning by the convergence bound believes, see `convergence_bound` of the problem."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.time_to_accuracy import TimeToAccuracy, TimeToAccuracyDecision
from splitopt.problems.time_to_accuracy.convergence_bound import promised_rounds
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.time_to_accuracy.common_plans import common_times
from splitopt.solvers.time_to_accuracy.no_model import with_one_round

UNREACHED = "by the convergence bound no plan reaches the target; plan with a measured curve"


class ByBound(Solver[TimeToAccuracy]):
    """A method that plans with the bound; its plan is then valued by the problem's own rounds."""

    problem: ClassVar[str] = "time_to_accuracy"
    objectives: ClassVar[frozenset[str]] = frozenset(TimeToAccuracy.objectives)
    kind: ClassVar[Kind] = "rule"
    partial: ClassVar[bool] = True

    def refusal(self, problem: TimeToAccuracy) -> str | None:
        """Reject a problem without the constants of the bound."""
        if problem.convergence_bound is not None:
            return None
        return (
            "needs the field 'convergence_bound' with the constants of the bound, which "
            "'splitopt calibrate --bound' measures"
        )


def promised_seconds(problem: TimeToAccuracy, decision: TimeToAccuracyDecision) -> float:
    """Return what the bound believes a plan takes, infinite where it promises nothing."""
    rounds = promised_rounds(
        problem.convergence_bound,
        float((1.0 / decision.batch_size).mean()),
        int(decision.cut.max()),
        decision.aggregation_interval,
        problem.devices,
    )
    return float(rounds) * problem.round_seconds(decision)


def promised_common(problem: TimeToAccuracy) -> FloatArray:
    """Shape (B, L, K): the same with one batch size, cut and interval for all devices."""
    rounds = promised_rounds(
        problem.convergence_bound,
        1.0 / problem.batch_sizes[:, None, None],
        np.arange(1, problem.layers + 1)[None, :, None],
        problem.intervals[None, None, :],
        problem.devices,
    )
    return np.asarray(rounds * common_times(with_one_round(problem)))


def offer(
    problem: TimeToAccuracy, search: Search, plan: TimeToAccuracyDecision | None
) -> StopReason:
    """Propose a plan with what the bound promises of it; say so where it is none."""
    if plan is None:
        search.message = UNREACHED
        return "converged"
    search.details["promised_s"] = promised_seconds(problem, plan)
    if not np.isfinite(search.propose(plan)):
        search.message = "the plan that the bound chooses does not reach the target"
    return "converged"
