"""SCIP and Gurobi, directly and through layers, in the common contract."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import gurobipy
import numpy as np
import pytest

from splitopt import CutAndResources, solve
from splitopt.errors import CapabilityError
from splitopt.problems.gurobi_environment import silent_environment
from splitopt.solvers import SOLVERS
from splitopt.solvers.backends import licence
from splitopt.solvers.backends.endings import BackEndError
from splitopt.solvers.backends.gurobi import run_gurobi
from splitopt.solvers.backends.pyomo import run_pyomo
from splitopt.solvers.base import Search
from splitopt.solvers.cut_and_resources.backends import Scip, prepared
from splitopt.solvers.cut_and_resources.enumeration import Enumerate

MODULE = "splitopt.solvers.cut_and_resources.backends"
NAMES = [name for name, at in SOLVERS["cut_and_resources"].items() if at.startswith(MODULE)]
GUROBI = [name for name in NAMES if "gurobi" in name.lower()]


@pytest.fixture
def size_limited():
    """Skip where a full Gurobi licence is installed."""
    if reason := licence.licence_problem():
        pytest.skip(f"gurobi {reason}")
    if not licence.is_size_limited():
        pytest.skip("the Gurobi licence here has no size limit")


def test_all_back_ends_are_registered():
    """Two directly, two through CVXPY, two through Pyomo."""
    assert NAMES == [
        "scip",
        "gurobi",
        "cvxpy:SCIP",
        "cvxpy:GUROBI",
        "pyomo:scip_direct",
        "pyomo:gurobi_direct_minlp",
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agrees_with_enumeration(random_problem, name, objective, seed):
    """Optimal cuts, a bound that is valid and tight, on masks, zeros and ties."""
    problem = random_problem(seed, 2 + seed, 3, objective, masked=True)
    if seed == 1:
        whole = {key: np.round(table) for key, table in problem.data().items() if key != "allowed"}
        problem = CutAndResources(**whole, allowed=problem.allowed, objective=objective)
    optimum = solve(problem, Enumerate()).objective
    result = solve(problem, name)
    assert result.outcome in ("optimal", "feasible")
    assert result.stop_reason in ("converged", "proved", "gap")
    assert result.objective == pytest.approx(optimum, rel=1e-6)
    assert optimum * (1 - 1e-4) <= result.bound <= optimum
    assert result.gap < 1e-4


@pytest.mark.parametrize("name", ["cvxpy:SCIP", "pyomo:scip_direct"])
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_two_layers_agree_with_the_exact_solver(random_problem, name, objective):
    """At ten devices SCIP through CVXPY and Pyomo is within its tolerance of the certificate."""
    problem = random_problem(11, 10, 5, objective)
    exact = solve(problem, "exact")
    result = solve(problem, name, time_limit_s=60)
    assert exact.outcome == "optimal"
    assert result.objective == pytest.approx(exact.objective, rel=3e-6)
    assert exact.bound * (1 - 1e-9) <= result.objective
    assert result.bound <= exact.objective


@pytest.mark.parametrize("name", NAMES)
def test_eight_decades_of_scale(random_problem, name):
    """Hopeless cuts and a unit that fits keep the numbers of a wild problem in hand."""
    problem = random_problem(5, 4, 4, "sum", decades=8.0)
    optimum = solve(problem, Enumerate()).objective
    result = solve(problem, name)
    assert result.objective == pytest.approx(optimum, rel=1e-6)
    assert result.bound <= optimum


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_preparing_keeps_the_optimum(random_problem, objective):
    """Only cuts that no optimal plan uses are dropped, and some are."""
    problem = random_problem(5, 4, 4, objective, decades=8.0)
    smaller, unit_s = prepared(problem)
    assert smaller.allowed.sum() < problem.allowed.sum()
    assert solve(smaller, Enumerate()).objective == solve(problem, Enumerate()).objective
    assert unit_s > 0


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_share(name):
    """Where every time is zero the optimum is zero."""
    zero = np.zeros((2, 2))
    problem = CutAndResources(zero, zero, zero, zero, np.ones((2, 2), dtype=bool))
    result = solve(problem, name)
    assert result.objective == 0.0
    assert -1e-5 <= result.bound <= 0.0


@pytest.mark.parametrize("name", NAMES)
def test_no_time_is_no_solution(random_problem, name):
    """At a time limit of 0 nothing is built."""
    result = solve(random_problem(), name, time_limit_s=0)
    assert (result.outcome, result.stop_reason) == ("no_solution", "time")
    assert result.times.build_s == 0.0


@pytest.mark.slow
def test_the_time_limit_holds(random_problem):
    """SCIP stops at the limit, and what it proved by then is valid."""
    problem = random_problem(0, 300, 6)
    result = solve(problem, "scip", time_limit_s=1.0)
    assert result.stop_reason == "time"
    assert result.times.total_s < 20
    assert result.times.build_s > 0
    assert result.bound <= solve(problem, "exact").objective


@pytest.mark.parametrize("name", NAMES)
def test_back_ends_are_silent(random_problem, capfd, name):
    """Neither banner nor log reaches the console."""
    solve(random_problem(3, 3, 3, "makespan"), name)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("name", ["scip", "gurobi"])
def test_a_callback_stops_a_direct_run(random_problem, name):
    """The first incumbent is seen while the back end works, and stopping there keeps it."""
    seen = []

    def stop(progress):
        seen.append(progress)
        return progress.objective < np.inf

    result = solve(random_problem(1, 30, 6), name, callback=stop)
    assert result.stop_reason == "interrupted"
    assert result.outcome == "feasible"
    assert seen[-1].objective < np.inf


@pytest.mark.parametrize("name", ["scip", "gurobi"])
def test_an_error_in_a_callback_is_not_lost(random_problem, name):
    """What a callback raises inside the back end's own code comes out as it was."""

    def fail(progress):
        if progress.objective < np.inf:
            raise RuntimeError("no more ink")

    with pytest.raises(RuntimeError, match="no more ink"):
        solve(random_problem(1, 8, 5), name, callback=fail)


@pytest.mark.parametrize("name", GUROBI)
def test_an_over_size_model_is_refused_before_it_is_built(
    random_problem, monkeypatch, size_limited, name
):
    """The message names the limit and the solvers that would work; nothing is built."""
    for method in ("to_gurobi", "to_cvxpy", "to_pyomo"):
        monkeypatch.setattr(CutAndResources, method, None)
    with pytest.raises(CapabilityError, match="at most 200 variables") as caught:
        solve(random_problem(0, 40, 8), name)
    working = str(caught.value).partition("would work: ")[2].split(", ")
    assert {"exact", "scip", "cvxpy:SCIP", "pyomo:scip_direct"} <= set(working)
    assert not set(GUROBI) & set(working)


def test_the_limit_is_where_the_licence_has_it(random_problem, size_limited):
    """Gurobi itself takes what is accepted here, up to the last variable, and no more."""
    ones = np.ones((1, 197))
    fits = CutAndResources(ones, ones, ones, ones, ones.astype(bool))
    assert solve(fits, "gurobi").objective == pytest.approx(4.0)
    ones = np.ones((1, 198))
    over = CutAndResources(ones, ones, ones, ones, ones.astype(bool))
    with pytest.raises(CapabilityError, match="201 variables"):
        solve(over, "gurobi")
    zeros, ones = np.zeros((1, 2000)), np.ones((1, 2000))
    linear = CutAndResources(zeros, zeros, zeros, ones, ones.astype(bool))
    assert solve(linear, "gurobi").objective == pytest.approx(1.0)
    zeros, ones = np.zeros((1, 2001)), np.ones((1, 2001))
    linear = CutAndResources(zeros, zeros, zeros, ones, ones.astype(bool))
    with pytest.raises(CapabilityError, match="at most 2,000 variables"):
        solve(linear, "gurobi")


def test_a_late_refusal_of_gurobi_is_named(random_problem, size_limited):
    """Where the check before building did not catch it, the error still names the limit."""
    problem = random_problem(0, 40, 8)
    search = Search(problem, None, 1e-9, 0)
    with silent_environment() as env:
        model = problem.to_gurobi(env)
        with pytest.raises(BackEndError, match="200 variables"):
            run_gurobi(model.model, search, 1.0, lambda: None, model.decision_in_callback)
    model = problem.to_pyomo()
    with pytest.raises(BackEndError, match="200 variables"):
        run_pyomo(model.model, "gurobi_direct_minlp", search, 1.0, lambda: None)


@pytest.mark.unlicensed
@pytest.mark.parametrize("name", GUROBI)
def test_no_licence_is_named(random_problem, monkeypatch, name):
    """A Gurobi that does not start is not chosen, and the message carries its reason."""

    def expired(*args, **kwargs):
        raise gurobipy.GurobiError(10009, "License expired 2020-01-01")

    monkeypatch.setattr(gurobipy, "Env", expired)
    licence.licence_problem.cache_clear()
    try:
        with pytest.raises(CapabilityError, match="License expired 2020-01-01"):
            solve(random_problem(), name)
    finally:
        licence.licence_problem.cache_clear()


def test_auto_does_not_ask_for_licences(random_problem, monkeypatch):
    """The preferred solver is taken without starting any back end."""
    monkeypatch.setattr(licence, "silent_environment", None)
    licence.licence_problem.cache_clear()
    assert solve(random_problem()).solver == "exact"


INTERRUPTED = """
import numpy as np
from splitopt import CutAndResources, solve
rng = np.random.default_rng(0)
size = (1500, 6)
tables = [rng.uniform(0.1, 10, size) for _ in range(4)]
problem = CutAndResources(*tables, np.ones(size, dtype=bool))
print("ready", flush=True)
result = solve(problem, "scip", time_limit_s=100)
print(result.stop_reason, result.times.total_s < 60, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_ends_in_a_result():
    """Pressing Ctrl-C while SCIP works returns what there is."""
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(8)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=300)
    assert "interrupted True" in output


def test_options_are_empty_and_instances_reusable(random_problem):
    """A back end is a frozen value without hyper-parameters; one object serves many runs."""
    solver = Scip()
    problem = random_problem(4, 4, 4)
    first, second = solve(problem, solver), solve(problem, solver)
    assert first.options == {}
    assert first.objective == second.objective
    assert {"pyscipopt", "splitopt"} <= first.versions.keys()
