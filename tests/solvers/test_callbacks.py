"""What a callback raises reaches the caller, through every solver and back end."""

from __future__ import annotations

import pytest

from splitopt import InfeasibleError, solve
from splitopt.bench.instances.benchmark import find_benchmark
from splitopt.solvers import SOLVERS, capable


class MineError(Exception):
    """An error of the caller's own, which no part of splitopt knows."""


def tiny(name):
    benchmark = find_benchmark(name)
    return benchmark.draw(benchmark.tiny)


@pytest.mark.slow
@pytest.mark.parametrize("problem", sorted(SOLVERS))
def test_every_solver_lets_it_through(problem):
    """Each solver that reports anything stops at the first report, with the caller's error."""
    instance = tiny(problem)
    solvers = capable(instance)
    assert solvers
    for name in solvers:
        calls = []

        def fail(progress, calls=calls):
            calls.append(progress)
            raise MineError("mine")

        with pytest.raises(MineError, match="mine"):
            solve(instance, name, time_limit_s=5.0, callback=fail)
        assert len(calls) == 1, name


@pytest.mark.parametrize("error", [InfeasibleError("mine"), ValueError("mine")])
def test_it_is_not_taken_for_the_solvers_own(error):
    """A callback's InfeasibleError is no proof that the problem has no answer."""

    def fail(progress):
        raise error

    with pytest.raises(type(error), match="mine"):
        solve(tiny("cut_and_resources"), callback=fail)
