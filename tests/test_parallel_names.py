"""One problem, the same name everywhere: module, solvers, tests and page."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitopt.planning.explaining import explained_problems, explainer_of
from splitopt.problems import PROBLEMS, problem_class
from splitopt.solvers import SOLVERS, solver_class

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_is_complete(name):
    """A registered problem has solvers, tests, a page, instances and an explainer of its plans."""
    assert problem_class(name).name == name
    assert SOLVERS[name]
    assert name in explained_problems()
    assert explainer_of(name).problem == name
    assert list((ROOT / "tests" / "problems").glob(f"{name}/test_*.py"))
    assert (ROOT / "docs" / "problems" / f"{name}.md").exists()
    assert list((ROOT / "benchmarks" / "instances" / name).iterdir())


@pytest.mark.parametrize(
    ("problem", "name"), [(problem, name) for problem, known in SOLVERS.items() for name in known]
)
def test_every_solver_is_what_its_registry_line_says(problem, name):
    """The class has the registered name and problem, and stands in the table of solvers."""
    found = solver_class(problem, name)
    assert (found.problem, found.name) == (problem, name)
    assert found.__doc__
    assert f"`{name}`" in (ROOT / "docs" / "solvers" / "index.md").read_text()
