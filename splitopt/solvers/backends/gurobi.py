"""Gurobi through gurobipy: parameters, incumbents as they come, and the run itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from splitopt.results import Decision, StopReason
from splitopt.solvers.backends.endings import (
    GUROBI_STATUS,
    BackEndError,
    conclude,
    safe_bound,
)
from splitopt.solvers.backends.licence import (
    QUADRATIC_VARIABLE_LIMIT,
    TOO_LARGE,
    VARIABLE_LIMIT,
)
from splitopt.solvers.base import Search

_MAX_SEED = 2_000_000_000


def gurobi_parameters(search: Search) -> dict[str, Any]:
    """Return Gurobi's parameters: one thread, the seed, what is left of the time, the gap."""
    parameters: dict[str, Any] = {
        "Threads": 1,
        "Seed": search.seed % _MAX_SEED,
        "MIPGap": search.rel_gap,
        "MIPGapAbs": 0.0,
        "FeasibilityTol": 1e-9,
        "IntFeasTol": 1e-9,
        "OptimalityTol": 1e-9,
        "BarQCPConvTol": 1e-9,  # at the default the bound of a cone program may be 1e-6 too high
    }
    if math.isfinite(search.remaining_s):
        parameters["TimeLimit"] = search.remaining_s
    return parameters


def status_name(model: Any) -> str:
    """Return the name of a ``gurobipy.Model``'s status code."""
    import gurobipy

    names = [name for name in dir(gurobipy.GRB.Status) if name.isupper()]
    codes = {getattr(gurobipy.GRB.Status, name): name for name in names}
    return codes.get(model.Status, str(model.Status))


@contextmanager
def named_licence_errors() -> Iterator[None]:
    """Turn Gurobi's refusal of a large model into a sentence that names the limits."""
    import gurobipy

    try:
        yield
    except gurobipy.GurobiError as error:
        if error.errno != TOO_LARGE:
            raise
        raise BackEndError(
            "the model is larger than the size-limited licence of gurobipy takes "
            f"({QUADRATIC_VARIABLE_LIMIT:,} variables where anything is quadratic, "
            f"{VARIABLE_LIMIT:,} variables and {VARIABLE_LIMIT:,} constraints elsewhere); "
            "SCIP takes models of any size"
        ) from error


def run_gurobi(
    model: Any,
    search: Search,
    unit: float,
    incumbent: Callable[[], Decision | None],
    found: Callable[[Any], Decision],
) -> StopReason:
    """Optimise a ``gurobipy.Model``; every improvement is proposed when Gurobi finds it.

    Parameters
    ----------
    unit
        What one of the model's objective is worth in the problem's.
    incumbent
        Read the decision of the best solution that the model holds, None without one.
    found
        Read the decision of the new solution inside Gurobi's callback.
    """
    import gurobipy

    for name, value in gurobi_parameters(search).items():
        model.setParam(name, value)
    failures: list[BaseException] = []

    def look(inside: Any, where: int) -> None:
        if where != gurobipy.GRB.Callback.MIPSOL:
            return
        try:
            bound = inside.cbGet(gurobipy.GRB.Callback.MIPSOL_OBJBND)
            search.prove(safe_bound(bound) * unit)
            search.propose(found(inside))
            if search.stop() is not None:
                inside.terminate()
        except BaseException as failure:
            failures.append(failure)
            inside.terminate()

    with named_licence_errors():
        model.optimize(look)
    if failures:
        raise failures[0]
    search.iterations = int(model.NodeCount)
    if (decision := incumbent()) is not None:
        search.propose(decision)
    return conclude(search, "Gurobi", GUROBI_STATUS, status_name(model), model.ObjBound, unit)
