"""What the tests of the benchmark share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from splitopt.bench.instances.benchmark import Recipe
from splitopt.bench.instances.instance import Instance, generated
from splitopt.bench.rows import Row
from splitopt.bench.running.jobs import Job, Settings, plan_jobs
from splitopt.bench.running.supervisor import Limits


@pytest.fixture(scope="session")
def bad_solvers() -> Path:
    """File with solvers that lie and misbehave."""
    return Path(__file__).with_name("bad_solvers.py")


@pytest.fixture(scope="session")
def instance() -> Instance:
    """Four devices, five cuts: small enough to try everything."""
    return generated("cut_and_resources", Recipe("uniform", {"devices": 4, "layers": 5}))


@pytest.fixture(scope="session")
def plan(bad_solvers: Path, instance: Instance) -> Callable[..., list[Job]]:
    """Plan runs of named solvers on the small instance, under tight limits."""

    def make(*solvers: str, **changes: object) -> list[Job]:
        settings = {
            "time_limit_s": 0.3,
            "limits": Limits(grace_s=0.5, startup_s=60.0, memory_mib=400.0),
            **changes,
        }
        return plan_jobs(
            "test",
            [instance],
            Settings(**settings),  # type: ignore[arg-type]
            solvers=solvers,
            objectives=["sum"],
            solver_files=[bad_solvers],
        )

    return make


@pytest.fixture(scope="session")
def make_row() -> Callable[..., Row]:
    """Return a function that makes a complete row by hand: a solved run, with changes."""
    machine = {"processor": "Some CPU", "cores": 2, "memory_mib": 8000, "python": "3.12.0"}
    fields = {
        "suite": "quick",
        "problem": "cut_and_resources",
        "objective": "sum",
        "instance": "one",
        "instance_digest": "d1",
        "size": {"devices": 10, "layers": 8},
        "solver": "exact",
        "solver_version": "0.1.0",
        "options": {},
        "seed": 0,
        "threads": 1,
        "time_limit_s": 60.0,
        "memory_limit_mib": 4096.0,
        "status": "ok",
        "outcome": "feasible",
        "stop_reason": "converged",
        "message": None,
        "value": 100.0,
        "bound": None,
        "gap": None,
        "best_known": None,
        "gap_to_best_known": None,
        "iterations": 5,
        "build_s": 0.0,
        "solve_s": 1.0,
        "total_s": 1.0,
        "wall_s": 2.0,
        "warmup_s": 0.5,
        "peak_memory_mib": 200.0,
        "trace": [],
        "machine": machine,
        "git_revision": "0123abcd",
        "splitopt_version": "0.1.0",
        "timestamp": "2026-01-01T00:00:00+00:00",
    }

    def make(**changes: object) -> Row:
        return Row.from_dict({**fields, **changes})

    return make
