"""Every problem has its modules, found by its name, in the benchmark and in the report."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from splitopt.bench.instances.benchmark import (
    FAMILIES,
    LIBRARY,
    Recipe,
    benchmark_problems,
    find_benchmark,
    library_entries,
)
from splitopt.planning.explaining import explained_problems
from splitopt.problems import PROBLEMS
from splitopt.problems.registry import module_of, problems_in
from splitopt.report.content import Content
from splitopt.report.summary import PROBLEM_REPORTS
from splitopt.training.program import PROGRAMS, Program


def test_all_problems_take_part():
    """None is missing in the benchmark and its library, and none with plans in report or training.

    `test_parallel_names` holds the problems with plans against those that are registered.
    """
    for found in (benchmark_problems(), problems_in(LIBRARY)):
        assert found == tuple(PROBLEMS)
    for found in (problems_in(PROBLEM_REPORTS), problems_in(PROGRAMS)):
        assert found == explained_problems()


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_families_and_the_library_of_a_problem_fit_together(name):
    """The benchmark is the module's, and the library draws from families that it has."""
    benchmark = find_benchmark(name)
    assert benchmark.problem == name
    assert module_of(FAMILIES, name).BENCHMARK is benchmark
    listed = list(library_entries(benchmark))
    assert len({entry.name for entry in listed}) == len(listed) > 0
    recipes = [entry.make for entry in listed if isinstance(entry.make, Recipe)]
    assert {recipe.family for recipe in recipes} <= benchmark.families.keys()


@pytest.mark.parametrize("name", explained_problems())
def test_plans_of_the_problem_are_trained(name):
    """The module of the problem's name returns what a plan asks of whoever trains it."""
    module = module_of(PROGRAMS, name)
    assert get_type_hints(module.program)["return"] is Program


@pytest.mark.parametrize("name", explained_problems())
def test_the_report_shows_the_problem(name):
    """The module of the problem's name returns the content of a plan's report."""
    module = module_of(PROBLEM_REPORTS, name)
    assert get_type_hints(module.content)["return"] is Content
