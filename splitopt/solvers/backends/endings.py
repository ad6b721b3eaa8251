"""How a back end's run ended, in the words of splitopt, and what its bound is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping

from splitopt.errors import SplitoptError
from splitopt.results import StopReason
from splitopt.solvers.base import Search

BOUND_TOLERANCE = 1e-6
"""What a back end's dual bound may be wrong by, relative to max(1, bound) in the model's unit.

It is ten times and more what was seen of SCIP and Gurobi at the tolerances that are set here, and
it is taken off every bound, so that no bound is above the true optimum.
"""

CONE_BOUND_TOLERANCE = 1e-5
"""The same for cone programs as CVXPY hands them to Gurobi, whose bounds were seen 1.4e-6 too high.
"""

CONTRADICTION = 1e-4
"""How far, relatively, a bound may stand above a value that was reached and be called rounding."""

SCIP_STATUS: Mapping[str, StopReason] = {
    "optimal": "converged",
    "gaplimit": "converged",
    "timelimit": "time",
    "userinterrupt": "interrupted",
    "terminate": "interrupted",
    "nodelimit": "iterations",
    "totalnodelimit": "iterations",
    "stallnodelimit": "iterations",
    "sollimit": "iterations",
    "bestsollimit": "iterations",
    "restartlimit": "iterations",
    "primallimit": "iterations",
    "duallimit": "iterations",
    "infeasible": "solver_error",
    "unbounded": "solver_error",
    "inforunbd": "solver_error",
    "memlimit": "solver_error",
    "unknown": "solver_error",
}
"""What ``pyscipopt.Model.getStatus`` says."""

GUROBI_STATUS: Mapping[str, StopReason] = {
    "OPTIMAL": "converged",
    "SUBOPTIMAL": "converged",
    "TIME_LIMIT": "time",
    "INTERRUPTED": "interrupted",
    "NODE_LIMIT": "iterations",
    "ITERATION_LIMIT": "iterations",
    "SOLUTION_LIMIT": "iterations",
    "WORK_LIMIT": "iterations",
    "USER_OBJ_LIMIT": "iterations",
    "CUTOFF": "solver_error",
    "INFEASIBLE": "solver_error",
    "INF_OR_UNBD": "solver_error",
    "UNBOUNDED": "solver_error",
    "LOCALLY_OPTIMAL": "solver_error",
    "LOCALLY_INFEASIBLE": "solver_error",
    "MEM_LIMIT": "solver_error",
    "NUMERIC": "solver_error",
    "LOADED": "solver_error",
    "INPROGRESS": "solver_error",
}
"""The names of ``gurobipy.GRB.Status``."""

PYOMO_STATUS: Mapping[str, StopReason] = {
    "convergenceCriteriaSatisfied": "converged",
    "maxTimeLimit": "time",
    "interrupted": "interrupted",
    "iterationLimit": "iterations",
    "objectiveLimit": "iterations",
    "minStepLength": "solver_error",
    "unbounded": "solver_error",
    "provenInfeasible": "solver_error",
    "locallyInfeasible": "solver_error",
    "infeasibleOrUnbounded": "solver_error",
    "error": "solver_error",
    "licensingProblems": "solver_error",
    "emptyModel": "solver_error",
    "unknown": "solver_error",
}
"""The names of Pyomo's ``TerminationCondition``."""


class BackEndError(SplitoptError):
    """A back end failed; the message says which one and what it said."""


class NoDecisionError(BackEndError):
    """A back end says that its model has no solution at all."""


_NO_SOLUTION = frozenset(
    {
        "infeasible",
        "INFEASIBLE",
        "provenInfeasible",
        "inforunbd",
        "INF_OR_UNBD",
        "infeasibleOrUnbounded",
    }
)
"""No model here is unbounded: it minimises times, which are not negative."""


def conclude(
    search: Search,
    back_end: str,
    statuses: Mapping[str, StopReason],
    status: str,
    bound: float,
    unit: float,
    tolerance: float = BOUND_TOLERANCE,
) -> StopReason:
    """Report a finished run's bound (in the model's unit) and give why it ended.

    The incumbent must have been proposed before. A back end that calls its answer optimal means
    within its own tolerances: that is ``"converged"``, and whether the gap is closed is decided
    from the objective that the problem computes and from the bound less its tolerance. A bound that
    is still above that objective, by little, is the back end's rounding: it is left out, and the
    decision, which the problem itself has checked, is kept.

    Raises
    ------
    BackEndError
        The status is one that the table does not have, or an error without any decision.
    """
    if status not in statuses:
        raise BackEndError(f"{back_end} ended with the status {status!r}, which is unknown here")
    proved = safe_bound(bound, tolerance) * unit
    if search.objective < proved <= search.objective + CONTRADICTION * abs(search.objective):
        search.message = (
            f"{back_end} gave a bound that is above the value of its own decision by rounding; it "
            "is left out"
        )
    else:
        search.prove(proved)
    reason = statuses[status]
    nothing = search.best is None and not search.rejected
    if nothing and reason in ("solver_error", "converged"):
        kind = NoDecisionError if status in _NO_SOLUTION else BackEndError
        raise kind(f"{back_end} ended with the status {status!r} and without a solution")
    return search.stop() or reason


def safe_bound(bound: float, tolerance: float = BOUND_TOLERANCE) -> float:
    """Subtract the tolerance from a dual bound; ``-inf`` where the back end has none."""
    if not math.isfinite(bound) or abs(bound) >= 1e20:
        return -math.inf
    return bound - tolerance * max(1.0, abs(bound))
