"""What is to be run: every solver on every instance under every objective and seed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from splitopt.bench.entrants.entrant import Entrant
from splitopt.bench.instances.benchmark import find_benchmark
from splitopt.bench.instances.instance import Instance
from splitopt.bench.rows import run_key
from splitopt.bench.running.supervisor import Limits
from splitopt.errors import InputError
from splitopt.problems.base import Problem
from splitopt.problems.digest import instance_digest


@dataclass(frozen=True)
class Settings:
    """What holds for all runs: limits, threads and seeds.

    Parameters
    ----------
    time_limit_s
        What a solver is told, in s.
    seeds
        One run per seed.
    threads
        For the numerical libraries of a run, and for solvers with an option ``threads``.
    limits
        What stops a run from outside.
    """

    time_limit_s: float = 10.0
    seeds: tuple[int, ...] = (0,)
    threads: int = 1
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.time_limit_s < float("inf"):
            raise InputError.at("time limit", f"is {self.time_limit_s!r}, it must be s >= 0")
        if not 0 < self.limits.memory_mib < float("inf"):
            raise InputError.at("memory limit", f"is {self.limits.memory_mib!r}, it must be > 0")
        if self.threads < 1 or not self.seeds:
            raise InputError("there must be at least one thread and one seed")


@dataclass(frozen=True)
class Job:
    """One run that is to be done. ``skip`` is why it cannot be, where that is plain beforehand."""

    suite: str
    instance: Instance
    digest: str
    size: Mapping[str, int]
    objective: str
    entrant: Entrant
    options: Mapping[str, Any]
    solver_version: str
    seed: int
    settings: Settings
    skip: str | None = None

    @property
    def key(self) -> str:
        """The key that the run's row will have."""
        return run_key(
            self.instance.problem,
            self.objective,
            self.instance.name,
            self.entrant.name,
            self.options,
            self.seed,
            self.settings.time_limit_s,
        )

    def load(self) -> Problem[Any]:
        """Load the instance under the objective."""
        return self.instance.load(self.objective)

    def to_dict(self) -> dict[str, Any]:
        """Return what the process of the run needs."""
        return {
            "instance": self.instance.to_dict(),
            "objective": self.objective,
            "entrant": self.entrant.to_dict(),
            "seed": self.seed,
            "threads": self.settings.threads,
            "time_limit_s": self.settings.time_limit_s,
            "limits": asdict(self.settings.limits),
        }


def plan_jobs(
    suite: str,
    instances: Iterable[Instance],
    settings: Settings,
    *,
    solvers: Sequence[str] | None = None,
    objectives: Sequence[str] | None = None,
    solver_files: Sequence[str | Path] = (),
) -> list[Job]:
    """List all runs of a suite, instance by instance.

    Raises
    ------
    InputError
        An instance, solver, option or objective that cannot be used.
    """
    from splitopt.bench.entrants.entrant import parse_all_entrants

    jobs: list[Job] = []
    listed = list(instances)
    problems = list(dict.fromkeys(instance.problem for instance in listed))
    entrants = _all_ready(parse_all_entrants(problems, solvers, solver_files), settings)
    for instance in listed:
        problem = instance.load(instance.objectives[0])
        size = dict(find_benchmark(instance.problem).size(problem))
        digest = instance.digest or instance_digest(problem)
        for objective in instance.objectives:
            if objectives is not None and objective not in objectives:
                continue
            jobs += [
                Job(
                    suite,
                    instance,
                    digest,
                    size,
                    objective,
                    ready.entrant,
                    ready.options,
                    ready.version,
                    seed,
                    settings,
                    ready.skip(objective),
                )
                for ready in entrants[instance.problem]
                for seed in settings.seeds
            ]
    if not jobs:
        raise InputError("no run is left: no instance of this suite has these objectives")
    keys = [job.key for job in jobs]
    if len(set(keys)) < len(keys):
        raise InputError("the same solver with the same options is named twice")
    return jobs


@dataclass(frozen=True)
class _Ready:
    """An entrant whose options were checked."""

    entrant: Entrant
    options: Mapping[str, Any]
    version: str
    objectives: frozenset[str]
    missing: tuple[str, ...]

    @classmethod
    def of(cls, entrant: Entrant, settings: Settings) -> _Ready:
        solver = entrant.make(settings.threads)
        options = json.loads(json.dumps(solver.options()))
        needed = (*solver.requires, *solver.apart)
        missing = tuple(name for name in needed if importlib.util.find_spec(name) is None)
        return cls(entrant, options, entrant.version, frozenset(solver.objectives), missing)

    def skip(self, objective: str) -> str | None:
        """Return why no process needs to be started, None if one does."""
        if self.missing:
            return f"needs the package {self.missing[0]!r}, which is not installed"
        if objective not in self.objectives:
            return f"does not take the objective {objective!r}"
        return None


def _all_ready(
    entrants: Mapping[str, Sequence[Entrant]], settings: Settings
) -> dict[str, list[_Ready]]:
    """Check the options of the solvers of each problem.

    Solvers of several problems may have the same name and other options: one takes part where it
    has those that are given, which must be so for one of the problems.
    """
    ready: dict[str, list[_Ready]] = {problem: [] for problem in entrants}
    refused: dict[str, InputError] = {}
    taken = set()
    for problem, listed in entrants.items():
        for entrant in listed:
            asked = f"{entrant.name}:{dict(entrant.options)!r}"
            try:
                ready[problem].append(_Ready.of(entrant, settings))
            except InputError as error:
                refused.setdefault(asked, error)
            else:
                taken.add(asked)
    for asked, why in refused.items():
        if asked not in taken:
            raise why
    return ready
