"""`solve`: one driver for every solver. It owns the clock, the seed, the checks and Ctrl-C."""

from __future__ import annotations

import importlib
import math
import platform
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from splitopt.documents.checks import check_seed, is_real
from splitopt.errors import (
    InfeasibleError,
    InputError,
    InUseError,
    SolveError,
    WriteError,
    shown,
)
from splitopt.extras import installed_version
from splitopt.problems.arrays import number_table
from splitopt.problems.base import FloatArray, Problem
from splitopt.problems.registry import ProblemLike, as_problem
from splitopt.results import OPTIMAL_GAP, Decision, Outcome, Result, StopReason, Times
from splitopt.solvers.base import Progress, Search, Solver
from splitopt.solvers.registry import make_solver, refuse_warmth

_BOUND_SLACK = 1e-9
"""How far, relatively, a bound may stand above an objective by rounding before it is a lie."""
_FLOAT_BITS = 1023
"""A whole number of so many bits is below the largest float."""


def solve(
    problem: ProblemLike,
    solver: str | Solver[Any] = "auto",
    *,
    start: Any = None,
    prices: Any = None,
    time_limit_s: float | None = None,
    rel_gap: float = 1e-9,
    seed: int = 0,
    on_failure: Literal["return", "raise"] = "return",
    callback: Callable[[Progress], object] | None = None,
    **options: Any,
) -> Result:
    """Solve a problem and certify the answer.

    Parameters
    ----------
    problem
        What is asked: a problem, the path of an instance file, or the plain data of one.
    solver
        A name (``splitopt solvers`` lists them), a solver object, or ``"auto"``: the preferred one
        that can take this problem.
    start
        A decision to start from, such as that of an earlier result, or its plain data; None for
        none. It need not be feasible for this problem. Exact solvers and heuristics take one, and
        give nothing worse; rules, which prescribe an answer, refuse it.
    prices
        Prices to start from, one for each of ``problem.priced``: the ``details["prices"]`` of the
        result of a similar problem; None for none. Solvers that cannot use them refuse them.
    time_limit_s
        Wall-clock limit in s; None for none. At 0 the first feasible decision is returned, or none.
    rel_gap
        Stop as soon as (objective - bound) / abs(objective) is at most this.
    seed
        Seed of every random draw: the same seed gives the same answer.
    on_failure
        ``"return"`` a result without a decision, or ``"raise"`` a `SolveError` that carries it.
    callback
        Called with a `Progress` at every improvement; it stops the run by returning True. The
        logger ``splitopt.solving`` tells the same at the level INFO.
    **options
        Hyper-parameters of the solver, where it is given by name.

    Raises
    ------
    InputError
        An argument that cannot be used.
    CapabilityError
        The solver cannot take this problem; the message names those that can.
    SolveError
        With ``on_failure="raise"``, when there is no feasible decision.
    InUseError, WriteError
        Another run uses the folder of a checkpoint, or the disk is full.
    Exception
        Whatever `callback` raises: it ends the run, in back ends as well.
    """
    _check_arguments(time_limit_s, rel_gap, seed, on_failure, callback)
    problem = as_problem(problem)
    warm = _checked_warmth(problem, start, prices)
    chosen = make_solver(problem, solver, **options)
    refuse_warmth(problem, chosen, start=start is not None, prices=prices is not None)
    for module in chosen.requires:
        importlib.import_module(module)  # before the clock starts: it is not the solver's work
    problem.plain.load_loops()
    chosen.load(problem.plain)
    if start is not None or prices is not None:
        chosen.load_warm(problem.plain)
    search = Search(problem, time_limit_s, rel_gap, seed, callback, *warm)
    ending = _run(chosen, search)
    if search.callback_error is not None:  # whatever became of it on its way through a solver
        raise search.callback_error
    result = _conclude(chosen, search, ending)
    if on_failure == "raise" and not result.is_feasible:
        text = result.message or f"{chosen.name} ended without a feasible decision"
        raise SolveError(text, result) from ending.cause
    return result


class _Ending(NamedTuple):
    """How a run ended: why, what to say of it, whether nothing is feasible, and what failed."""

    reason: StopReason
    message: str | None = None
    infeasible: bool = False
    cause: BaseException | None = None


def _run(solver: Solver[Any], search: Search) -> _Ending:
    """Run a solver, unless the problem's own numbers show that nothing is feasible."""
    problem = search.problem
    if (message := problem.infeasibility()) is not None:
        return _Ending("proved", message, infeasible=True)
    try:
        solver.begin(search)
        return _Ending(solver.run(problem.plain, search))
    except KeyboardInterrupt:
        return _Ending("interrupted", "interrupted; the best decision so far is kept")
    except InfeasibleError as error:
        return _Ending("proved", str(error), infeasible=True)
    except (InputError, InUseError, WriteError):
        # Such as an engine that cannot be reached or a full disk: no fault of the solver.
        if search.callback_error is None:
            raise
        return _Ending("solver_error")
    except Exception as error:
        text = f"the solver failed with {type(error).__name__}: {error}"
        return _Ending("solver_error", text, cause=error)


def _conclude(solver: Solver[Any], search: Search, ending: _Ending) -> Result:
    """Turn what the search holds into a result that claims no more than was checked."""
    problem, reason = search.problem, ending.reason
    outcome: Outcome
    message = ending.message or search.message
    if ending.infeasible:
        outcome = "infeasible"
    elif search.bound > search.objective + _BOUND_SLACK * abs(search.objective):
        outcome, reason = "error", "solver_error"
        message = f"the solver's bound {search.bound!r} is above a value that was reached"
    elif search.best is not None:
        outcome = "optimal" if search.gap <= OPTIMAL_GAP else "feasible"
        if outcome == "optimal":
            reason = "proved"
    elif reason == "solver_error":
        outcome = "error"
    else:
        outcome = "no_solution"
        if search.rejected and message is None:
            broken = ", ".join(f"{name} by {by:.3g}" for name, by in search.rejected.items())
            message = f"the solver's decisions were not feasible: {broken}"
    total = search.elapsed_s
    return Result(
        problem=problem.name,
        objective_name=problem.objective,
        solver=solver.name,
        outcome=outcome,
        stop_reason=reason,
        message=message,
        decision=search.best,
        objective=search.objective,
        bound=math.inf if ending.infeasible else search.bound,
        violations={} if search.best is not None else dict(search.rejected),
        times=Times(search.build_s, total - search.build_s, total),
        iterations=search.iterations,
        trace=tuple(search.trace),
        seed=search.seed,
        options=solver.options(),
        versions=_versions(solver),
        details=dict(search.details),
    )


def _check_arguments(
    time_limit_s: float | None, rel_gap: float, seed: int, on_failure: str, callback: object
) -> None:
    if time_limit_s is not None and not (_is_number(time_limit_s) and time_limit_s >= 0):
        raise InputError.at(
            "time_limit_s", f"is {shown(time_limit_s)}, it must be seconds >= 0, or None for none"
        )
    if not (_is_number(rel_gap) and 0 <= rel_gap < math.inf):
        raise InputError.at("rel_gap", f"is {shown(rel_gap)}, it must be a number >= 0")
    check_seed(seed)
    if on_failure not in ("return", "raise"):
        raise InputError.at("on_failure", f"is {shown(on_failure)}, it must be 'return' or 'raise'")
    if callback is not None and not callable(callback):
        raise InputError.at(
            "callback", f"is {shown(callback)}, it must be a function of a Progress"
        )


def _checked_warmth(
    problem: Problem[Any], start: Any, prices: Any
) -> tuple[Decision | None, FloatArray | None]:
    """Return what to start from, checked against the sizes of the problem."""
    found = None
    if start is not None:
        try:
            found = problem.taken(start)
            if problem.violations(found):  # whether it is about this problem at all
                problem.decode(found.to_dict())  # of another size is more than infeasible
        except InputError as error:
            raise InputError.at("start", f"is no decision of this problem ({error})") from None
    if prices is None:
        return found, None
    priced = problem.priced
    if not priced:
        raise InputError.at(
            "prices", f"are not for {problem.name}, which prices nothing; drop them"
        )
    try:
        return found, number_table(prices, "prices", "prices", (len(priced),))
    except InputError as error:
        raise InputError(f"{error} (one each of {', '.join(priced)})") from None


def _is_number(value: Any) -> bool:
    """Whether a value is a number that a float can hold."""
    if not is_real(value):
        return False
    return not isinstance(value, int) or value.bit_length() <= _FLOAT_BITS


def _versions(solver: Solver[Any]) -> dict[str, str]:
    names = ("splitopt", "numpy", *solver.requires, *solver.apart)
    known = {name: installed_version(name) for name in names}
    return {"python": platform.python_version(), **known}
