"""`subset_dp`: the exact solver of `PipelinePartition`, by dynamic programming over used nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.documents.checks import check_whole
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.pipeline_partition.chains.loading import loops_ready
from splitopt.solvers.pipeline_partition.chains.solving import refusal_of, solve_chains


@dataclass(frozen=True)
class SubsetDp(Solver[PipelinePartition]):
    """Exact: a search over caps, each tested by dynamic programming over the sets of used nodes.

    Of several partitions with the best objective it gives the quickest one, that is the one with
    the least latency. The package `chains` does the work. A decision to start from is the answer
    of a run that is stopped before it finds a better one.

    Parameters
    ----------
    max_states
        Refuse a problem with more sets of used nodes than this (2^N for N different nodes; nodes
        that are alike count once), and say how many it has. With links that differ, sets of used
        nodes are counted together with the last of them.
    """

    name: ClassVar[str] = "subset_dp"
    problem: ClassVar[str] = "pipeline_partition"
    objectives: ClassVar[frozenset[str]] = frozenset(PipelinePartition.objectives)
    kind: ClassVar[Kind] = "exact"
    start_use: ClassVar[str] = "the answer until a better or a quicker one is found"

    max_states: int = 2**20

    def __post_init__(self) -> None:
        check_whole("max_states", self.max_states, 1)

    def refusal(self, problem: PipelinePartition) -> str | None:
        """Reject what would take too much memory, with the price."""
        return refusal_of(problem, self.max_states)

    def load(self, problem: PipelinePartition) -> None:
        """Compile the loops, unless the problem is so small that Python does them sooner."""
        loops_ready(problem)

    def begin(self, search: Search) -> None:
        """Leave the start to the run: of several best partitions the quickest is the answer."""

    def run(self, problem: PipelinePartition, search: Search) -> StopReason:
        """Search, propose the decision and prove its value."""
        return solve_chains(problem, search)
