"""One problem, the same name everywhere: module, solvers, tests and page."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

import pytest

from splitopt.bench.instances.benchmark import (
    FAMILIES,
    LIBRARY,
    Recipe,
    find_benchmark,
    library_entries,
)
from splitopt.planning.planner import EXPLAINERS
from splitopt.problems import PROBLEMS, problem_class
from splitopt.problems.registry import module_of
from splitopt.report.content import Content
from splitopt.report.summary import PROBLEM_REPORTS
from splitopt.solvers import SOLVERS, solver_class

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_is_complete(name):
    """A registered problem has solvers, tests, a page, instances and an explainer."""
    assert problem_class(name).name == name
    assert SOLVERS[name]
    assert name in EXPLAINERS
    assert list((ROOT / "tests" / "problems").glob(f"{name}/test_*.py"))
    assert (ROOT / "docs" / "problems" / f"{name}.md").exists()
    assert list((ROOT / "benchmarks" / "instances" / name).iterdir())


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_has_its_modules_in_the_benchmark(name):
    """Generated families and library stand in modules of the problem's name, and fit together."""
    benchmark = find_benchmark(name)
    assert benchmark.problem == name
    assert module_of(FAMILIES, name).BENCHMARK is benchmark
    assert module_of(LIBRARY, name) is not None
    listed = list(library_entries(benchmark))
    assert len({entry.name for entry in listed}) == len(listed) > 0
    drawn = [entry.make for entry in listed if isinstance(entry.make, Recipe)]
    assert {recipe.family for recipe in drawn} <= benchmark.families.keys()


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_has_its_module_in_the_report(name):
    """What the report of a plan shows of a problem stands in the module of its name."""
    module = module_of(PROBLEM_REPORTS, name)
    assert callable(module.content)
    assert get_type_hints(module.content)["return"] is Content


@pytest.mark.parametrize(
    ("problem", "name"), [(problem, name) for problem, known in SOLVERS.items() for name in known]
)
def test_every_solver_is_what_its_registry_line_says(problem, name):
    """The class has the registered name and problem, and stands in the table of solvers."""
    found = solver_class(problem, name)
    assert (found.problem, found.name) == (problem, name)
    assert found.__doc__
    assert f"`{name}`" in (ROOT / "docs" / "solvers" / "index.md").read_text()
