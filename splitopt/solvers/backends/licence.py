"""Whether there is a Gurobi licence, and what the one that comes with gurobipy takes."""

from __future__ import annotations

from functools import cache

from splitopt.problems.gurobi_environment import silent_environment
from splitopt.problems.size import Size

VARIABLE_LIMIT = 2000
"""Variables, and linear constraints, that the size-limited licence takes in a linear model."""
QUADRATIC_VARIABLE_LIMIT = 200
"""Variables that it takes where anything is quadratic."""
TOO_LARGE = 10010
"""Gurobi's error number for a model over the limit of the licence."""


@cache
def licence_problem() -> str | None:
    """Return why Gurobi does not start, or None when it does."""
    import gurobipy

    try:
        silent_environment().dispose()
    except gurobipy.GurobiError as error:
        return f"has no Gurobi licence that works ({error})"
    return None


@cache
def is_size_limited() -> bool:
    """Whether Gurobi refuses a model just over the size limit, found out by asking it."""
    import gurobipy

    with silent_environment() as env, gurobipy.Model(env=env) as model:
        model.addVars(VARIABLE_LIMIT + 1)
        try:
            model.optimize()
        except gurobipy.GurobiError as error:
            if error.errno == TOO_LARGE:
                return True
            raise
    return False


def size_refusal(size: Size) -> str | None:
    """Return that a model would be over the size limit of the licence, or None if it is not."""
    limit = QUADRATIC_VARIABLE_LIMIT if size.has_quadratic_terms else VARIABLE_LIMIT
    fits = (
        size.variables <= limit
        and size.linear_constraints <= VARIABLE_LIMIT
        and size.quadratic_constraints <= VARIABLE_LIMIT
    )
    if fits or not is_size_limited():
        return None
    kind = "quadratic" if size.has_quadratic_terms else "linear"
    return (
        f"would build a {kind} model of {size.variables:,} variables and "
        f"{size.linear_constraints + size.quadratic_constraints:,} constraints, and the "
        f"size-limited licence of gurobipy takes at most {limit:,} variables and "
        f"{VARIABLE_LIMIT:,} constraints in such a model"
    )
