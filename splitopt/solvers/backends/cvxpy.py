"""A CVXPY program solved by a named solver, with the bound that CVXPY itself does not pass on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from splitopt.problems.gurobi_environment import silent_environment
from splitopt.results import Decision, StopReason
from splitopt.solvers.backends.endings import (
    BOUND_TOLERANCE,
    CONE_BOUND_TOLERANCE,
    GUROBI_STATUS,
    SCIP_STATUS,
    conclude,
)
from splitopt.solvers.backends.gurobi import gurobi_parameters, status_name
from splitopt.solvers.backends.scip import CONE_PARAMETERS, scip_parameters
from splitopt.solvers.base import Search


def run_cvxpy(
    program: Any,
    solver: str,
    search: Search,
    unit: float,
    incumbent: Callable[[], Decision | None],
    cones: bool = False,
) -> StopReason:
    """Solve a ``cvxpy.Problem`` by ``"SCIP"`` or ``"GUROBI"``.

    It goes the documented way of CVXPY in three steps (compile, solve, unpack) instead of
    ``problem.solve``: that names no reason when a solver fails, drops the incumbent of an
    interrupted run, and hides the back end's dual bound.

    Parameters
    ----------
    unit
        What one of the program's objective is worth in the problem's.
    incumbent
        Read the decision from the program's variables, None where they have no values.
    cones
        Whether the program has many second-order cones.
    """
    import cvxpy as cp

    with search.building():
        data, chain, inverse = program.get_problem_data(solver)
    if (reason := search.stop()) is not None:
        return reason
    options = _OPTIONS[solver](search, cones)
    raw = chain.solve_via_data(program, data, warm_start=False, verbose=False, solver_opts=options)
    model = raw["model"]
    status, bound, nodes, statuses = _READERS[solver](model)
    search.iterations = nodes
    if "primal" in raw:
        raw["status"] = cp.OPTIMAL  # the incumbent is worth reading whatever ended the run
        program.unpack_results(raw, chain, inverse)
        if (decision := incumbent()) is not None:
            search.propose(decision)
    offset = float(inverse[-1][cp.settings.OFFSET])
    rounding = CONE_BOUND_TOLERANCE if cones and solver == "GUROBI" else BOUND_TOLERANCE
    name = f"{solver} through CVXPY"
    return conclude(search, name, statuses, status, bound + offset, unit, rounding)


_Reading = tuple[str, float, int, Mapping[str, StopReason]]


def _read_scip(model: Any) -> _Reading:
    return model.getStatus(), model.getDualbound(), int(model.getNTotalNodes()), SCIP_STATUS


def _read_gurobi(model: Any) -> _Reading:
    status = status_name(model)
    if status == "LOADED":  # CVXPY swallows the error of a model that was never started
        return status, float("-inf"), 0, GUROBI_STATUS
    return status, model.ObjBound, int(model.NodeCount), GUROBI_STATUS


_READERS: Mapping[str, Callable[[Any], _Reading]] = {"SCIP": _read_scip, "GUROBI": _read_gurobi}


def _scip_options(search: Search, cones: bool) -> dict[str, Any]:
    return {"scip_params": scip_parameters(search) | (CONE_PARAMETERS if cones else {})}


def _gurobi_options(search: Search, cones: bool) -> dict[str, Any]:  # noqa: ARG001 - SCIP's
    return {"env": silent_environment(), **gurobi_parameters(search)}


_OPTIONS: Mapping[str, Callable[[Search, bool], dict[str, Any]]] = {
    "SCIP": _scip_options,
    "GUROBI": _gurobi_options,
}
