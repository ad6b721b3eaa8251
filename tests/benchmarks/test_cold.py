"""The benchmark of cold starts measures every shipped scenario and what compiles."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from splitopt.bench.instances.benchmark import Recipe, find_benchmark
from splitopt.solvers.base import Solver
from splitopt.solvers.registry import SOLVERS, make_solver, solver_class, solver_names

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cases():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.cold.cases")


def test_every_shipped_scenario_is_planned(cases):
    names = cases.scenarios()
    assert {"digits-splitfed", "cpsl-identical", "examples/pipeline-vgg19.yaml"} <= set(names)
    assert all((ROOT / name).exists() for name in names if name.endswith(".yaml"))


@pytest.mark.slow
def test_every_solver_that_loads_something_is_measured(cases):
    measured = set()
    for problem, solver, family, size in cases.SOLVERS:
        drawn = find_benchmark(problem).draw(Recipe(family, size, 0))
        assert drawn.name == problem
        measured.add((problem, make_solver(drawn, solver).name))
    names = [(problem, name) for problem in SOLVERS for name in solver_names(problem)]
    own = {pair for pair in names if solver_class(*pair).load is not Solver.load}
    loads = {solver_class(*pair).load for pair in measured}  # several solvers may share one
    assert {pair for pair in own if solver_class(*pair).load not in loads} == set()
    assert {"subset_dp", "set_partition", "dp_mora"} <= {solver for _, solver in own}


def test_children_are_measured(cases, tmp_path):
    code = "sum(range(10**7))"
    wall, used = cases.started([sys.executable, "-c", code], str(tmp_path))
    assert used > 0.01
    assert used <= 1.5 * wall + 0.1
