"""`alike_devices`: a pipeline made as if all devices were the slowest and smallest of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import IntArray
from splitopt.problems.replicated_pipeline import (
    ReplicatedPipeline,
    ReplicatedPipelineDecision,
)
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.replicated_pipeline.counts_dp import CountsDp


@dataclass(frozen=True)
class AlikeDevices(Solver[ReplicatedPipeline]):
    """What an optimizer for alike devices, such as PipeDream's, says of devices that differ.

    It takes every time to be that of the slowest type, and every memory and rate to be the least,
    and solves that exactly; real devices are then dealt to the stages by type, from the first stage
    on. It may have no answer where there is one: all memory may be too small if it is as small as
    the least, and a fast device holds more micro-batches than an alike one would.
    """

    name: ClassVar[str] = "alike_devices"
    problem: ClassVar[str] = "replicated_pipeline"
    objectives: ClassVar[frozenset[str]] = frozenset(ReplicatedPipeline.objectives)
    kind: ClassVar[Kind] = "rule"
    partial: ClassVar[bool] = True

    def refusal(self, problem: ReplicatedPipeline) -> str | None:
        """Reject what would take too much memory, with the price."""
        return CountsDp().refusal(as_alike(problem))

    def load(self, problem: ReplicatedPipeline) -> None:
        """Compile the loops, unless Python does what there is to do sooner."""
        CountsDp().load(as_alike(problem))

    def run(self, problem: ReplicatedPipeline, search: Search) -> StopReason:
        """Solve the problem of alike devices, and deal the real ones."""
        search.prove(problem.bound())
        alike = as_alike(problem)
        inner = Search(alike, search.time_limit_s and search.remaining_s, 1e-9, 0)
        try:
            CountsDp().run(alike, inner)
        except InfeasibleError:
            search.message = "no pipeline fits devices as small as the smallest of them"
            return "converged"
        search.iterations += inner.iterations
        if isinstance(inner.best, ReplicatedPipelineDecision):
            counts = inner.best.devices.sum(axis=1)
            search.propose(problem.complete(inner.best.ends, _dealt(problem.devices, counts)))
            if search.best is None:
                search.message = "its pipeline does not fit the real devices"
        return search.stop() or "converged"


def as_alike(problem: ReplicatedPipeline) -> ReplicatedPipeline:
    """Return the problem with one type of devices, as slow and small as the worst of each field."""
    worst: dict[str, Any] = {
        field: None if value is None else value.min(axis=0, keepdims=True)
        for field, value in (
            ("bandwidth_bytes_per_s", problem.bandwidth_bytes_per_s),
            ("memory_bytes", None if problem.memory_bytes is None else problem.room_bytes),
        )
    }
    return replace(
        problem,
        forward_s=problem.forward_s.max(axis=0, keepdims=True),
        backward_s=problem.backward_s.max(axis=0, keepdims=True),
        devices=problem.devices.sum(keepdims=True),
        reserve_bytes=np.zeros(1),
        **worst,
    )


def _dealt(devices: IntArray, sizes: IntArray) -> IntArray:
    """Shape (M, T): devices for stages of these sizes, type after type."""
    kinds = np.repeat(np.arange(len(devices)), devices)
    stages = np.split(kinds[: sizes.sum()], np.cumsum(sizes)[:-1])
    return np.array([np.bincount(stage, minlength=len(devices)) for stage in stages])
