"""Rules that choose a server first, then the cuts: what is done without a joint optimum.

A server is a group of resources that interact: chains of choices join them, as one that needs a
downlink, an uplink and a computer does. Once every device has a server, its choices there and the
shares are optimal: `exact` finds them.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.problem import ChoicesAndResources
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.exact import Exact
from splitopt.solvers.cut_and_resources.relaxation import LoadsRelaxation, root_bound
from splitopt.solvers.cut_and_resources.relaxation.layout import Layout
from splitopt.solvers.cut_and_resources.repair import repaired


def servers_of(problem: CutAndResources) -> IntArray | None:
    """Return the server (O,) of each choice, 0-based; None if all resources interact."""
    used = np.asarray(((problem.work_s > 0) & problem.allowed[:, :, None]).any(axis=0))
    return Layout.of(used).kinds


class _Association(LoadsRelaxation, Solver[CutAndResources]):
    """Chooses everybody's server by a rule, and the rest exactly."""

    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndResources.objectives)
    kind: ClassVar[Kind] = "rule"

    def refusal(self, problem: CutAndResources) -> str | None:
        """Reject a problem in which there are no servers to choose between."""
        if isinstance(problem, ChoicesAndResources) and servers_of(problem) is not None:
            return None
        return "chooses between servers, and all resources of this problem interact"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Propose the best plan of the rule's association; prove the bound of the relaxation."""
        server = servers_of(problem)
        assert server is not None  # refusal() saw to it
        alone = np.where(problem.allowed, problem.work_s.sum(axis=2) + problem.own_s, np.inf)
        chosen = self._choices(problem, server, alone)
        kept = repaired(problem, chosen + 1, alone)
        chosen = chosen if kept is None else kept - 1
        search.iterations = 1
        search.propose(problem.complete(chosen + 1))
        near = problem.restricted(problem.allowed & (server == server[chosen][:, None]))
        if near.infeasibility() is None:
            limit = None if search.time_limit_s is None else search.remaining_s
            inner = Search(near, limit, search.rel_gap, search.seed)
            Exact(max_nodes=200).run(near, inner)
            if inner.best is not None:
                search.propose(inner.best)
        search.prove(root_bound(problem, search.is_over))
        return search.stop() or "converged"

    @abstractmethod
    def _choices(self, problem: CutAndResources, server: IntArray, alone: FloatArray) -> IntArray:
        """Return a choice (N,), 0-based, at the server that each device is to use."""


@dataclass(frozen=True)
class NearestServer(_Association):
    """Everybody uses the server at which it would be fastest alone: where its link is best."""

    name: ClassVar[str] = "nearest_server"

    def _choices(
        self,
        problem: CutAndResources,  # noqa: ARG002 - what a device sees by itself is enough
        server: IntArray,  # noqa: ARG002
        alone: FloatArray,
    ) -> IntArray:
        return np.asarray(alone.argmin(axis=1))


@dataclass(frozen=True)
class GreedyAssociation(_Association):
    """One device after the other, the slowest first, joins where it adds least to the sum.

    What a choice adds to the sum of latencies, given who is there, is
    |A + alpha|^2 - |A|^2 + d, A the sum of the roots so far.
    """

    name: ClassVar[str] = "greedy_association"

    def _choices(self, problem: CutAndResources, server: IntArray, alone: FloatArray) -> IntArray:  # noqa: ARG002
        chosen = np.zeros(problem.devices, dtype=np.int64)
        total = np.zeros(len(problem.resources))
        for n in np.argsort(-alone.min(axis=1), kind="stable"):
            roots = problem.roots[n]
            added = roots @ (2 * total) + (roots**2).sum(axis=1) + problem.own_s[n]
            chosen[n] = np.where(problem.allowed[n], added, np.inf).argmin()
            total += roots[chosen[n]]
        return chosen
