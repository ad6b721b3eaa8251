"""A Pyomo model solved by a named solver through Pyomo's interface with bounds and statuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal

from splitopt.results import Decision, StopReason
from splitopt.solvers.backends.endings import PYOMO_STATUS, conclude
from splitopt.solvers.backends.gurobi import gurobi_parameters, named_licence_errors
from splitopt.solvers.backends.scip import CONE_PARAMETERS, scip_parameters
from splitopt.solvers.base import Search

PyomoSolver = Literal["scip_direct", "gurobi_direct_minlp", "highs"]
_MAX_SEED = 2**31 - 1


def highs_parameters(search: Search) -> dict[str, Any]:
    """Return HiGHS' parameters: one thread, the seed, what is left of the time, the gap."""
    parameters: dict[str, Any] = {
        "parallel": "off",  # "threads" must be what the first run of the process had
        "random_seed": search.seed % _MAX_SEED,
        "mip_rel_gap": search.rel_gap,
        "mip_abs_gap": 0.0,
        "mip_feasibility_tolerance": 1e-9,
        "primal_feasibility_tolerance": 1e-9,
    }
    if math.isfinite(search.remaining_s):
        parameters["time_limit"] = search.remaining_s
    return parameters


def run_pyomo(
    model: Any,
    solver: PyomoSolver,
    search: Search,
    unit: float,
    incumbent: Callable[[], Decision | None],
    cones: bool = False,
) -> StopReason:
    """Solve a Pyomo model by SCIP, Gurobi or, if it is linear, HiGHS.

    Parameters
    ----------
    unit
        What one of the model's objective is worth in the problem's.
    incumbent
        Read the decision from the model's variables, None where no solution was loaded.
    cones
        Whether the model has many second-order cones.
    """
    from pyomo.contrib.solver.common.factory import SolverFactory

    if solver == "scip_direct":
        parameters = scip_parameters(search) | (CONE_PARAMETERS if cones else {})
    elif solver == "highs":
        parameters = highs_parameters(search)
    else:
        parameters = gurobi_parameters(search)
    with named_licence_errors() if solver == "gurobi_direct_minlp" else nullcontext():
        results = SolverFactory(solver).solve(
            model,
            load_solutions=False,
            raise_exception_on_nonoptimal_result=False,
            solver_options=parameters,
        )
    if results.solution_loader.get_number_of_solutions() > 0:
        results.solution_loader.load_vars()
        if (decision := incumbent()) is not None:
            search.propose(decision)
    bound = -math.inf if results.objective_bound is None else float(results.objective_bound)
    status = results.termination_condition.name
    return conclude(search, f"{solver} through Pyomo", PYOMO_STATUS, status, bound, unit)
