"""`subset_dp`: the exact solver of `PipelinePartition`, by dynamic programming over used nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.documents.checks import check_whole
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.pipeline_partition.chains.solving import refusal_of, solve_chains
from splitopt.solvers.pipeline_partition.plain.layout import count_states
from splitopt.solvers.pipeline_partition.plain.solving import solve_plain


@dataclass(frozen=True)
class SubsetDp(Solver[PipelinePartition]):
    """Exact: a search over caps, each tested by dynamic programming over the sets of used nodes.

    Of several partitions with the best objective it gives the quickest one, that is the one with
    the least latency. Where transfers cost nothing, `plain` does the work, otherwise, and for the
    objective ``"round"``, `chains`.

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

    max_states: int = 2**20

    def __post_init__(self) -> None:
        check_whole("max_states", self.max_states, 1)

    def refusal(self, problem: PipelinePartition) -> str | None:
        """Refuse what would take too much memory, with the price."""
        if not _is_plain(problem):
            return refusal_of(problem, self.max_states)
        count = count_states(problem)
        if count <= self.max_states:
            return None
        return (
            f"would have to keep {count:,} sets of used nodes, more than its limit of "
            f"max_states = {self.max_states:,}"
        )

    def run(self, problem: PipelinePartition, search: Search) -> StopReason:
        """Search, propose the decision and prove its value."""
        if _is_plain(problem):
            return solve_plain(problem, search)
        return solve_chains(problem, search)


def _is_plain(problem: PipelinePartition) -> bool:
    return problem.links.costs_nothing and problem.objective != "round"
