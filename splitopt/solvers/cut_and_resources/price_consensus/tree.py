"""Branch and bound by messages: "device n, exclude cut l" or "device n, keep only cut l"."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.solvers.cut_and_resources.price_consensus.coordinator import Coordinator
from splitopt.solvers.cut_and_resources.relaxation.measures import EPS
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Mixture

_WHOLE = 1e-9
"""A fraction nearer than this to 0 or 1 counts as decided."""


@dataclass(order=True)
class Node:
    """A node that is not closed yet, with what its relaxation gave."""

    bound: float
    index: int
    mixture: Mixture = field(compare=False)


@dataclass
class Tree:
    """The open nodes, the one with the lowest bound first.

    Parameters
    ----------
    coordinator
        Who talks to the devices.
    limit
        Gives what a plan must beat to be worth finding.
    halted
        Whether to stop.
    """

    coordinator: Coordinator
    limit: Callable[[], float]
    halted: Callable[[], bool]
    heap: list[Node] = field(default_factory=list)
    stuck: float = np.inf
    nodes: int = 0

    @property
    def bound(self) -> float:
        """Return a lower bound on every plan: what open nodes may hold, and what was given up."""
        lowest = self.heap[0].bound if self.heap else np.inf
        return min(lowest, self.stuck, self.limit())

    def open(self, index: int, mixture: Mixture, parent_bound: float = 0.0) -> None:
        """Keep a node whose relaxation is solved, unless nothing in it can beat the limit."""
        bound, limit = max(mixture.bound, parent_bound), self.limit()
        if bound < limit:
            slack = limit - mixture.bound + 64 * EPS * abs(limit)
            self.coordinator.fix(index, mixture, slack)
            heapq.heappush(self.heap, Node(bound, index, mixture))

    def expand(self) -> None:
        """Split the node with the lowest bound in two."""
        node = heapq.heappop(self.heap)
        if node.bound >= self.limit():
            return
        mixture = node.mixture
        cuts = self.coordinator.reveal(mixture.choices)
        device, cut = _most_fractional(cuts, mixture.weights)
        if device < 0:
            self.stuck = min(self.stuck, node.bound)
            return
        for keep in (True, False):
            self._branch(node, device, cut, keep, (cuts[:, device] == cut) == keep)
            if self.halted():
                # The children that are not open yet stand for themselves through their parent.
                heapq.heappush(self.heap, node)
                return

    def _branch(self, node: Node, device: int, cut: int, keep: bool, fits: BoolArray) -> None:
        """Open the child in which a device keeps or drops a cut; `fits` says which columns do."""
        self.nodes += 1
        child, mixture = self.nodes, node.mixture
        if not self.coordinator.exclude(child, node.index, device, cut, keep):
            return
        known = [turn for turn, kept in zip(mixture.choices, fits, strict=True) if kept]
        found = self.coordinator.relax(
            child,
            node.index,
            mixture.price,
            self.limit(),
            lambda _: self.halted(),
            (mixture.totals[fits], known),
        )
        if found.bound < self.limit():
            self.coordinator.round_off(found, 1)
        self.open(child, found, node.bound)


def _most_fractional(cuts: IntArray, weights: FloatArray) -> tuple[int, int]:
    """Return the device and cut (1..L) whose weight is nearest to one half, (-1, 0) without one."""
    best, found = _WHOLE, (-1, 0)
    mixed = np.flatnonzero((cuts != cuts[0]).any(axis=0))
    for device in mixed:
        for cut in np.unique(cuts[:, device]):
            share = float(weights[cuts[:, device] == cut].sum())
            if min(share, 1 - share) > best:
                best, found = min(share, 1 - share), (int(device), int(cut))
    return found
