"""Every pipeline there is: the reference for small problems.

It shares nothing with the dynamic program: the problem itself scores every decision.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.base import IntArray
from splitopt.problems.replicated_pipeline import (
    ReplicatedPipeline,
    ReplicatedPipelineDecision,
)
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.options import too_many
from splitopt.solvers.replicated_pipeline.counts_dp import why_none


@dataclass(frozen=True)
class Enumerate(Solver[ReplicatedPipeline]):
    """Try all cuts with all devices for every stage, with recompute and without.

    Parameters
    ----------
    max_pipelines
        Refuse a problem that has more pipelines than this, and say how many it has.
    """

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "replicated_pipeline"
    objectives: ClassVar[frozenset[str]] = frozenset(ReplicatedPipeline.objectives)
    kind: ClassVar[Kind] = "exact"

    max_pipelines: int = 50_000

    def __post_init__(self) -> None:
        check_whole("max_pipelines", self.max_pipelines, 1)

    def refusal(self, problem: ReplicatedPipeline) -> str | None:
        """Reject what would take too long, with the price."""
        count = count_pipelines(problem)
        return too_many(count, "pipelines", "max_pipelines", self.max_pipelines)

    def run(self, problem: ReplicatedPipeline, search: Search) -> StopReason:
        """Propose every pipeline; the least of them is the bound."""
        for decision in _pipelines(problem):
            search.iterations += 1
            search.propose(decision)
            if search.best is not None and (reason := search.stop()) is not None:
                return reason
        if search.best is None:
            raise InfeasibleError(why_none(problem))
        search.prove(search.objective)
        return "proved"


def count_pipelines(problem: ReplicatedPipeline) -> int:
    """Count cuts with devices and recompute, feasible or not; an upper count.

    Devices of a type are dealt to M stages and to none in ``C(n + M, M)`` ways; those that leave a
    stage empty are counted too.
    """
    ways = 2 if problem.recompute == "choose" else 1
    return sum(
        math.comb(problem.layers - 1, size - 1)
        * ways**size
        * math.prod(math.comb(n + size, size) for n in problem.devices.tolist())
        for size in range(1, min(problem.layers, problem.device_count) + 1)
    )


def _pipelines(problem: ReplicatedPipeline) -> Iterator[ReplicatedPipelineDecision]:
    layers = problem.layers
    choices = {"never": (False,), "always": (True,), "choose": (False, True)}[problem.recompute]
    for size in range(1, min(layers, problem.device_count) + 1):
        dealt = list(_dealt(problem.devices, size))
        for inner in itertools.combinations(range(1, layers), size - 1):
            ends = np.array([*inner, layers], dtype=np.int64)
            for devices in dealt:
                for again in itertools.product(choices, repeat=size):
                    yield ReplicatedPipelineDecision(ends, devices, np.array(again))


def _dealt(devices: IntArray, size: int) -> Iterator[IntArray]:
    """Iterate over devices (size, T) of stages, at least one in each and some left over."""
    rows = [
        [row for row in itertools.product(range(n + 1), repeat=size) if sum(row) <= n]
        for n in devices.tolist()
    ]
    for columns in itertools.product(*rows):
        found = np.array(columns, dtype=np.int64).T
        if (found.sum(axis=1) > 0).all():
            yield found
