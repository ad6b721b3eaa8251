"""The conformance suite: what every solver must do on small instances, as named checks.

``splitopt bench --check-solver`` runs it on any solver, the tests run it on all of splitopt's own.
The reference is the solver that tries everything (`Benchmark.reference`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from splitopt.bench.checking.claims import above, judge
from splitopt.bench.entrants.entrant import Entrant
from splitopt.bench.entrants.warming import warm_up
from splitopt.bench.instances.benchmark import Benchmark, Recipe, find_benchmark
from splitopt.driver import solve
from splitopt.errors import SolveError
from splitopt.problems.base import Problem
from splitopt.problems.digest import instance_digest
from splitopt.results import Outcome, Result, StopReason
from splitopt.solvers.base import Solver
from splitopt.solvers.registry import why_not

CheckStatus = Literal["passed", "failed", "skipped"]
PROMPT_S = 2.0
"""How long a solver may take to end when its time limit is 0."""


@dataclass(frozen=True)
class Check:
    """One named check on one instance under one objective."""

    name: str
    instance: str
    objective: str
    status: CheckStatus
    message: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the check as plain data."""
        return dict(vars(self))


@dataclass(frozen=True)
class _Case:
    """A solver on an instance, with two runs of the same object and seed."""

    solver: Solver[Any]
    problem: Problem[Any]
    optimum: float
    first: Result
    second: Result
    digest_before: str
    time_limit_s: float


Finding = tuple[CheckStatus, str]
_PASSED: Finding = ("passed", "")


def check_solver(
    entrant: Entrant, *, time_limit_s: float = 2.0, seed: int = 0, threads: int = 1
) -> list[Check]:
    """Run the conformance suite on a solver.

    Parameters
    ----------
    entrant
        The solver and its options. To check that the same seed gives the same answer, it must be
        able to stop by itself (an iteration limit, a proof) within the time limit.
    time_limit_s
        For each run, in s.
    seed
        Of each run.
    threads
        For a solver that has an option ``threads``.

    Raises
    ------
    InputError
        The solver or its options cannot be used at all.
    """
    return list(iterate_checks(entrant, time_limit_s=time_limit_s, seed=seed, threads=threads))


def iterate_checks(
    entrant: Entrant, *, time_limit_s: float = 2.0, seed: int = 0, threads: int = 1
) -> Iterator[Check]:
    """Iterate over the checks of `check_solver`."""
    benchmark = find_benchmark(entrant.problem)
    solver = entrant.make(threads)
    yield _check("options are plain data", "-", "-", _options_are_data(solver))
    for objective in sorted(solver.objectives):
        warm_up(solver, benchmark, objective, time_limit_s)
        yield from _check_infeasible(solver, benchmark, objective, time_limit_s, seed)
        for recipe in benchmark.conformance:
            problem = benchmark.draw(recipe)
            if objective not in problem.askable:
                continue
            problem = problem.with_objective(objective)
            if reason := why_not(solver, problem):
                yield Check("takes the instance", recipe.name, objective, "skipped", reason)
                continue
            before = instance_digest(problem)
            first = solve(problem, solver, time_limit_s=time_limit_s, seed=seed)
            second = solve(problem, solver, time_limit_s=time_limit_s, seed=seed)
            optimum = _optimum(entrant.problem, recipe, objective)
            case = _Case(solver, problem, optimum, first, second, before, time_limit_s)
            for name, check in CHECKS.items():
                yield _check(name, recipe.name, objective, check(case))


def _check(name: str, instance: str, objective: str, verdict: Finding) -> Check:
    return Check(name, instance, objective, *verdict)


@cache
def _optimum_of(problem: str, recipe: str, objective: str) -> float:
    benchmark = find_benchmark(problem)
    instance = next(item for item in benchmark.conformance if item.name == recipe)
    result = solve(benchmark.draw(instance).with_objective(objective), benchmark.reference)
    if result.outcome != "optimal":
        raise SolveError(f"{benchmark.reference} cannot solve {recipe} ({result.message})", result)
    return result.objective


def _optimum(problem: str, recipe: Recipe, objective: str) -> float:
    """Value of the solver that tries everything; each instance is solved once."""
    return _optimum_of(problem, recipe.name, objective)


def _failed(condition: bool, message: str) -> Finding:
    return ("failed", message) if condition else _PASSED


def _options_are_data(solver: Solver[Any]) -> Finding:
    try:
        json.dumps(solver.options(), allow_nan=False)
    except (TypeError, ValueError) as error:
        return "failed", str(error)
    return _PASSED


def _check_infeasible(
    solver: Solver[Any], benchmark: Benchmark, objective: str, time_limit_s: float, seed: int
) -> Iterator[Check]:
    name = "says that an instance has no answer"
    problem = benchmark.draw(benchmark.infeasible).with_objective(objective)
    if reason := why_not(solver, problem):
        yield Check(name, benchmark.infeasible.name, objective, "skipped", reason)
        return
    result = solve(problem, solver, time_limit_s=time_limit_s, seed=seed)
    if result.outcome == "no_solution" and result.stop_reason == "time":
        verdict: Finding = ("skipped", _out_of_time(time_limit_s))
    else:
        verdict = _failed(result.outcome != "infeasible", f"the outcome is {result.outcome!r}")
    yield _check(name, benchmark.infeasible.name, objective, verdict)


def _out_of_time(time_limit_s: float) -> str:
    return f"ran into the time limit of {time_limit_s:g} s"


def _finds_feasible(case: _Case) -> Finding:
    found = case.first
    if case.solver.partial and found.outcome == "no_solution" and found.message:
        return "skipped", f"says that it has no answer: {found.message}"
    if found.outcome == "no_solution" and found.stop_reason == "time":
        return "skipped", _out_of_time(case.time_limit_s)  # what a busy host does to a slow solver
    what = f"the outcome is {found.outcome!r} ({found.message})"
    return _failed(not found.is_feasible, what)


def _claims_hold(case: _Case) -> Finding:
    contradiction = judge(case.problem, case.first.to_dict()).contradiction
    return _failed(contradiction is not None, contradiction or "")


def _bound_is_valid(case: _Case) -> Finding:
    bound = case.first.bound
    wrong = math.isfinite(bound) and above(bound, case.optimum)
    return _failed(wrong, f"the bound {bound!r} is above the optimum {case.optimum!r}")


def _not_below_optimum(case: _Case) -> Finding:
    value = case.first.objective
    wrong = math.isfinite(value) and above(case.optimum, value)
    return _failed(wrong, f"the value {value!r} is below the optimum {case.optimum!r}")


def _exact_is_optimal(case: _Case) -> Finding:
    found = case.first
    if case.solver.kind != "exact":
        return "skipped", f"is a {case.solver.kind}, not exact"
    if found.stop_reason == "time":
        return "skipped", _out_of_time(case.time_limit_s)
    # Back ends that work with tolerances reach the optimum without proving it to 1e-9.
    missed = not math.isfinite(found.objective) or above(found.objective, case.optimum)
    return _failed(missed, f"{found.objective!r} is above the optimum {case.optimum!r}")


def _same_seed_same_answer(case: _Case) -> Finding:
    first, second = case.first, case.second
    if "time" in (first.stop_reason, second.stop_reason):
        return "skipped", "was stopped by the clock; give it an iteration limit"
    same = _answer(first) == _answer(second)
    return _failed(not same, f"{first.objective!r}, then {second.objective!r}")


def _answer(result: Result) -> Any:
    """Return what must not differ between two runs."""
    document = result.to_dict()
    return [document[name] for name in ("outcome", "objective", "bound", "decision", "iterations")]


def _stops_at_once(case: _Case) -> Finding:
    took, result = _solved_at_once(case)
    if took > PROMPT_S:  # a busy host may keep anybody waiting, but seldom twice
        again, result = _solved_at_once(case)
        took = min(took, again)
    if took > PROMPT_S:
        return "failed", f"took {took:.2f} s with a time limit of 0"
    allowed = ("no_solution", "feasible", "optimal")
    return _failed(result.outcome not in allowed, f"the outcome is {result.outcome!r}")


def _solved_at_once(case: _Case) -> tuple[float, Result]:
    begin = time.perf_counter()
    result = solve(case.problem, case.solver, time_limit_s=0.0)
    return time.perf_counter() - begin, result


def _keeps_problem(case: _Case) -> Finding:
    changed = instance_digest(case.problem) != case.digest_before
    return _failed(changed, "the instance's data are not what they were")


def _keeps_contract(case: _Case) -> Finding:
    found = case.first
    if found.outcome not in get_args(Outcome) or found.stop_reason not in get_args(StopReason):
        return "failed", f"outcome {found.outcome!r}, stop reason {found.stop_reason!r}"
    return _failed(found.stop_reason == "solver_error", str(found.message))


def _keeps_time(case: _Case) -> Finding:
    took = min(case.first.times.total_s, case.second.times.total_s)  # the host may have been busy
    limit = case.time_limit_s
    return _failed(took > limit + PROMPT_S, f"took {took:.2f} s with a time limit of {limit:g} s")


CHECKS: dict[str, Callable[[_Case], Finding]] = {
    "finds a feasible decision": _finds_feasible,
    "objective, feasibility and gap are as claimed": _claims_hold,
    "bound is not above the optimum": _bound_is_valid,
    "value is not below the optimum": _not_below_optimum,
    "exact solver reaches the optimum": _exact_is_optimal,
    "same object and seed give the same answer": _same_seed_same_answer,
    "keeps its time limit": _keeps_time,
    "stops at once with no time": _stops_at_once,
    "leaves the problem as it was": _keeps_problem,
    "keeps the result contract": _keeps_contract,
}
"""Check -> what it does with a case."""
