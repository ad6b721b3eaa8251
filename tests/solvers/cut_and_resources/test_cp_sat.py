"""CP-SAT: whole numbers whose bound holds for the true tables, in a process of its own."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from splitopt import CapabilityError, CutAndResources, solve
from splitopt.solvers.base import Search
from splitopt.solvers.cut_and_resources.cp_sat.solver import CpSat


def problem_of(seed, devices=4, cuts=3):
    """Draw tables, some cuts not allowed."""
    rng = np.random.default_rng(seed)
    tables = [rng.uniform(0.0, 3.0, (devices, cuts)) for _ in range(4)]
    allowed = rng.random((devices, cuts)) < 0.8
    allowed[:, 0] = True
    return CutAndResources(*tables, allowed=allowed)


def whole_value(program, choice):
    """Return the objective of the program in exact whole numbers."""
    rows = range(len(choice))
    totals = [sum(table[n][choice[n]] for n in rows) for table in program["roots"]]
    return sum(total**2 for total in totals) + sum(program["own"][n][choice[n]] for n in rows)


@pytest.mark.parametrize("seed", range(3))
def test_whole_values_are_just_below_the_true_ones(seed):
    """What makes the bound valid, for all cuts, with nothing of OR-tools."""
    problem = problem_of(seed)
    search = Search(problem, None, 1e-9, 0)
    program, square = CpSat()._program(problem, search)
    for choice in np.ndindex(*[problem.layers] * problem.devices):
        if not all(program["allowed"][n][o] for n, o in enumerate(choice)):
            continue
        true = problem.evaluate(problem.complete(np.array(choice) + 1))
        whole = whole_value(program, choice) / square
        assert whole <= true
        assert whole == pytest.approx(true, rel=1e-5)
    best = solve(problem, "enumerate").decision.cut - 1
    kept = [program["allowed"][n][o] for n, o in enumerate(best)]
    assert all(kept)
    totals = [sum(t[n][o] for n, o in enumerate(best)) for t in program["roots"]]
    assert max(totals) <= program["most"]


def test_it_is_refused_where_it_cannot_run(monkeypatch):
    problem = problem_of(0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CapabilityError, match="'ortools', which is not installed"):
        solve(problem, "cp_sat")


def test_budgets_and_the_makespan_are_refused():
    assert "sum" in CpSat.objectives
    assert "makespan" not in CpSat.objectives
    budgets = [{"name": "memory", "use": np.ones((4, 3)), "limit": 9}]
    problem = problem_of(0).with_budgets(None)
    kept = CutAndResources(
        *(getattr(problem, f"{name}_s") for name in ("download", "upload", "server", "device")),
        budgets=budgets,
    )
    assert "memory" in CpSat().refusal(kept)
    assert "most_variables" in CpSat(most_variables=5).refusal(problem)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_optimum_and_a_bound_below_it(seed):
    pytest.importorskip("ortools")
    problem = problem_of(seed, devices=5)
    best = solve(problem, "enumerate").objective
    result = solve(problem, "cp_sat", time_limit_s=20)
    assert result.details["cp_sat_status"] == "OPTIMAL"
    assert result.objective == pytest.approx(best, rel=1e-6)
    assert best * (1 - 1e-5) <= result.bound <= best
    assert "ortools.sat.python.cp_model" not in sys.modules
