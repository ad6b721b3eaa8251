"""The driver: one clock, one set of checks, and an honest result whatever a solver does."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from splitopt import (
    CapabilityError,
    CutAndResources,
    InfeasibleError,
    InputError,
    SolveError,
    solve,
)
from splitopt.problems.cut_and_resources.decision import decision_from_shares
from splitopt.results import relative_gap
from splitopt.solvers import Solver, capable


class Scripted(Solver):
    """Base of the misbehaving solvers of these tests."""

    name: ClassVar[str] = "scripted"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset({"sum", "makespan"})
    kind: ClassVar[str] = "heuristic"


def equal_shares(problem):
    n = problem.devices
    cuts = problem.allowed.argmax(axis=1) + 1
    return decision_from_shares(cuts, np.full((n, 3), 1 / n))


@dataclass(frozen=True)
class Overdraws(Scripted):
    def run(self, problem, search):
        n = problem.devices
        search.propose(decision_from_shares(np.full(n, problem.layers), np.full((n, 3), 2 / n)))
        return "converged"


@dataclass(frozen=True)
class Crashes(Scripted):
    first: bool = False

    def run(self, problem, search):
        if self.first:
            search.propose(equal_shares(problem))
        raise RuntimeError("boom")


@dataclass(frozen=True)
class Interrupted(Scripted):
    def run(self, problem, search):
        search.propose(equal_shares(problem))
        raise KeyboardInterrupt


@dataclass(frozen=True)
class OverstatesBound(Scripted):
    def run(self, problem, search):
        value = search.propose(equal_shares(problem))
        search.prove(2 * value)
        return "proved"


@dataclass(frozen=True)
class SaysInfeasible(Scripted):
    def run(self, problem, search):
        raise InfeasibleError("nothing fits; add a server")


@dataclass(frozen=True)
class Endless(Scripted):
    def run(self, problem, search):
        search.propose(equal_shares(problem))
        while (reason := search.stop()) is None:
            search.iterations += 1
        return reason


def test_an_infeasible_proposal_is_no_solution(random_problem):
    """A decision that overdraws a budget is not kept; what it violates is reported."""
    result = solve(random_problem(), Overdraws())
    assert result.outcome == "no_solution"
    assert result.decision is None
    assert result.objective == math.inf
    assert result.violations["download_share"] == pytest.approx(1.0)
    assert "download_share" in result.message


def test_a_crash_is_an_error_with_its_reason(random_problem):
    """An exception inside a solver ends as `error`, or as `feasible` with what it had found."""
    empty = solve(random_problem(), Crashes())
    assert (empty.outcome, empty.stop_reason) == ("error", "solver_error")
    assert "RuntimeError: boom" in empty.message
    kept = solve(random_problem(), Crashes(first=True))
    assert (kept.outcome, kept.stop_reason) == ("feasible", "solver_error")
    assert kept.decision is not None
    with pytest.raises(SolveError, match="boom") as caught:
        solve(random_problem(), Crashes(), on_failure="raise")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_ctrl_c_keeps_the_best(random_problem):
    """An interrupt returns the best decision so far."""
    result = solve(random_problem(), Interrupted())
    assert (result.outcome, result.stop_reason) == ("feasible", "interrupted")
    assert result.decision is not None


def test_a_bound_above_a_value_is_an_error(random_problem):
    """A bound that a feasible decision contradicts is a lie, not a proof."""
    result = solve(random_problem(), OverstatesBound())
    assert (result.outcome, result.stop_reason) == ("error", "solver_error")
    assert "above a value that was reached" in result.message
    assert not result.is_feasible


def test_infeasible_with_its_message(random_problem):
    """Infeasibility found by a solver or by the problem carries what would have to change."""
    result = solve(random_problem(), SaysInfeasible())
    assert (result.outcome, result.message) == ("infeasible", "nothing fits; add a server")
    problem = random_problem(devices=2)
    tables = {**problem.data(), "allowed": np.zeros((2, 4), dtype=bool)}
    result = solve(CutAndResources(**tables))
    assert result.outcome == "infeasible"
    assert "allow at least one cut" in result.message
    with pytest.raises(SolveError, match="allow at least one cut"):
        solve(CutAndResources(**tables), on_failure="raise")


@pytest.mark.parametrize("limit", [0, 0.05])
def test_time_limit_ends_a_run_with_what_it_has(random_problem, limit):
    """A solver that asks is stopped by the clock; a limit of 0 keeps its first decision."""
    result = solve(random_problem(), Endless(), time_limit_s=limit)
    assert (result.outcome, result.stop_reason) == ("feasible", "time")
    assert result.times.total_s >= limit


def test_a_callback_sees_progress_and_can_stop(random_problem):
    """The callback is called at every improvement and stops the run by returning True."""
    seen = []

    def watch(progress):
        seen.append(progress)
        return True

    result = solve(random_problem(), Endless(), callback=watch)
    assert result.stop_reason == "interrupted"
    assert seen[0].objective == result.objective
    assert seen[0].gap == math.inf


def test_a_looser_gap_is_feasible_not_optimal(random_problem):
    """Stopping at a gap that the user allowed is `feasible` with reason `gap`."""
    problem = random_problem(devices=2)
    best = solve(problem, "enumerate").objective

    @dataclass(frozen=True)
    class NearlyThere(Scripted):
        def run(self, problem, search):
            search.propose(equal_shares(problem))
            search.prove(min(best, 0.9 * search.objective))
            return search.stop() or "converged"

    result = solve(problem, NearlyThere(), rel_gap=0.99)
    assert (result.outcome, result.stop_reason) == ("feasible", "gap")


def test_gap_is_defined_once():
    """The gap is relative to the objective, infinite without a bound, and never negative."""
    assert relative_gap(10.0, 9.0) == pytest.approx(0.1)
    assert relative_gap(10.0, -math.inf) == math.inf
    assert relative_gap(math.inf, 1.0) == math.inf
    assert relative_gap(1.0, 1.0 + 1e-16) == 0.0
    assert relative_gap(0.0, 0.0) == 0.0


def test_result_file_is_strict_json(tmp_path, random_problem):
    """The written result has the contract's fields, null for what is not finite."""
    path = tmp_path / "result.json"
    solve(random_problem(), Endless(), time_limit_s=0).save(path)
    document = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert document["bound"] is None
    assert document["gap"] is None
    for name in [
        "outcome",
        "stop_reason",
        "message",
        "objective",
        "bound",
        "gap",
        "violations",
        "times",
        "iterations",
        "trace",
        "seed",
        "solver",
        "options",
        "versions",
        "decision",
    ]:
        assert name in document
    assert set(document["decision"]) == {
        "problem",
        "cut",
        "download_share",
        "upload_share",
        "server_share",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"time_limit_s": -1}, "time_limit_s: is -1"),
        ({"time_limit_s": float("nan")}, "time_limit_s: is nan"),
        ({"rel_gap": -0.1}, "rel_gap: is -0.1"),
        ({"seed": -1}, "seed: is -1"),
        ({"seed": 1.5}, "seed: is 1.5"),
        ({"on_failure": "panic"}, "on_failure: is 'panic'"),
        ({"solver": "magic"}, "solver 'magic' is unknown.*exact.*enumerate"),
        ({"solver": "enumerate", "depth": 3}, "no option 'depth'.*max_vectors"),
        ({"solver": "enumerate", "max_vectors": 0}, "max_vectors: is 0"),
        ({"solver": "enumerate", "max_vectors": "x"}, "max_vectors: is 'x'"),
    ],
)
def test_wrong_arguments_are_one_sentence(random_problem, arguments, words):
    """An argument that cannot be used is named with its value."""
    with pytest.raises(InputError, match=words):
        solve(random_problem(), **arguments)


def test_a_solver_that_cannot_names_those_that_can(random_problem):
    """A refusal says why and lists the solvers that would work."""
    problem = random_problem(devices=40)
    with pytest.raises(CapabilityError, match=r"about 10\^24 vectors.*would work: exact"):
        solve(problem, "enumerate")
    assert "enumerate" not in capable(problem)
    tables = problem.data()
    del tables["weights"]
    with pytest.raises(CapabilityError, match="needs 'weights'"):
        solve(CutAndResources(**tables), "proportional_share")


def test_auto_takes_the_preferred_capable_solver(random_problem):
    """`auto` is exact here."""
    assert solve(random_problem()).solver == "exact"
