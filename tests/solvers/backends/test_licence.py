"""Without a Gurobi licence its solvers say so, and the others do the work."""

from __future__ import annotations

import pytest

from splitopt import solve
from splitopt.bench.instances.benchmark import find_benchmark
from splitopt.errors import CapabilityError
from splitopt.solvers.backends import licence
from splitopt.solvers.registry import SOLVERS, capable

NAMES = [
    (problem, name)
    for problem, known in SOLVERS.items()
    for name in known
    if "gurobi" in name.lower()
]


@pytest.fixture(autouse=True)
def unlicensed(monkeypatch):
    """Point Gurobi to a licence file that does not exist; nothing is known from before."""
    monkeypatch.setenv("GRB_LICENSE_FILE", "/nonexistent/gurobi.lic")
    licence.licence_problem.cache_clear()
    yield
    licence.licence_problem.cache_clear()


@pytest.mark.unlicensed
@pytest.mark.parametrize(("problem", "name"), NAMES)
def test_its_solvers_say_so(problem, name):
    """One sentence with Gurobi's own reason."""
    benchmark = find_benchmark(problem)
    with pytest.raises(CapabilityError, match=r"has no Gurobi licence that works.*gurobi\.lic"):
        solve(benchmark.draw(benchmark.tiny), name)


@pytest.mark.parametrize("problem", SOLVERS)
def test_others_take_over(problem):
    """Nobody that is capable needs one, and the preferred solver answers."""
    benchmark = find_benchmark(problem)
    drawn = benchmark.draw(benchmark.tiny)
    names = capable(drawn)
    assert names
    assert not [name for name in names if "gurobi" in name.lower()]
    assert solve(drawn).is_feasible
