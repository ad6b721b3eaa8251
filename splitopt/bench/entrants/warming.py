"""A first run that pays for imports and compilation."""

from __future__ import annotations

from typing import Any

from splitopt.bench.instances.benchmark import Benchmark
from splitopt.driver import solve
from splitopt.solvers.base import Solver
from splitopt.solvers.registry import why_not


def warm_up(
    solver: Solver[Any], benchmark: Benchmark, objective: str, time_limit_s: float, seed: int = 0
) -> None:
    """Solve the tiny instance of the benchmark once, if the solver can take it.

    What imports and compilation cost is then not taken for the solver's slowness.
    """
    tiny = benchmark.draw(benchmark.tiny).with_objective(objective)
    if why_not(solver, tiny) is None:
        solve(tiny, solver, time_limit_s=time_limit_s, seed=seed)
