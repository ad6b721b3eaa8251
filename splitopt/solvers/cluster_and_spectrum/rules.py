"""Clusters by a rule: the two benchmarks of CPSL's Fig. 8."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from splitopt.documents.checks import check_choice
from splitopt.problems.base import IntArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.decision import clusters_of
from splitopt.problems.cluster_and_spectrum.subcarriers import RULES
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cluster_and_spectrum.swaps import by_capability, starts_of


@dataclass(frozen=True)
class _Rule(Solver[ClusterAndSpectrum]):
    """One partition by a rule.

    Parameters
    ----------
    subcarriers
        How a cluster's subcarriers are shared: ``exact``, ``tie_safe`` or ``greedy`` (Alg. 3).
    """

    problem: ClassVar[str] = "cluster_and_spectrum"
    objectives: ClassVar[frozenset[str]] = frozenset(ClusterAndSpectrum.objectives)
    kind: ClassVar[Kind] = "rule"

    subcarriers: str = "exact"

    def __post_init__(self) -> None:
        check_choice("subcarriers", self.subcarriers, tuple(RULES))

    def run(self, problem: ClusterAndSpectrum, search: Search) -> StopReason:
        """Propose the one partition of the rule, and prove the cheap bound."""
        clusters = clusters_of(self._members(problem, search), starts_of(problem))
        search.propose(problem.complete(clusters, self.subcarriers))
        search.prove(problem.bound())
        return search.stop() or "converged"

    @abstractmethod
    def _members(self, problem: ClusterAndSpectrum, search: Search) -> IntArray:
        """Return the devices, cluster after cluster."""


@dataclass(frozen=True)
class SimilarCompute(_Rule):
    """Sort by computing capability and cut the list: similar devices share a cluster."""

    name: ClassVar[str] = "similar_compute"

    def _members(self, problem: ClusterAndSpectrum, search: Search) -> IntArray:  # noqa: ARG002
        return by_capability(problem)


@dataclass(frozen=True)
class RandomClusters(_Rule):
    """Draw the clusters, all partitions equally likely."""

    name: ClassVar[str] = "random_clusters"

    def _members(self, problem: ClusterAndSpectrum, search: Search) -> IntArray:
        return search.rng.permutation(problem.devices)
