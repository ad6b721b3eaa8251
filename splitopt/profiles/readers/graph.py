"""A graph of operators in an order of execution, and where it can be cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_INPUT = re.compile(r"Input\d*$")


@dataclass(frozen=True)
class GraphNode:
    """An operator of the graph: seconds and bytes of a whole batch; `row`: place in the file.

    `saved_bytes` is what it keeps for the backward pass, where the file says so; None where it has
    to be counted from the operator.
    """

    number: int
    operator: str
    forward_s: float
    backward_s: float
    activation_bytes: float
    parameter_bytes: float
    row: int = 0
    saved_bytes: float | None = None

    @property
    def is_input(self) -> bool:
        """Whether it is the training data, which costs nothing to compute."""
        return _INPUT.match(self.operator) is not None

    @property
    def idle(self) -> bool:
        """Whether it computes nothing and has no parameters."""
        return not (self.forward_s or self.backward_s or self.parameter_bytes)

    @property
    def label(self) -> str:
        """A name that tells the node apart, such as ``Conv2d-12``."""
        return f"{self.operator.partition('(')[0]}-{self.number}"


@dataclass(frozen=True)
class Graph:
    """The operators in an order of execution, and who feeds whom.

    Parameters
    ----------
    nodes
        In topological order, smallest numbers first, without the inputs.
    feeds
        For each node, the places of those that it takes tensors from.
    inputs
        For each node, the bytes of the training data that it takes, None if it takes none.
    """

    nodes: tuple[GraphNode, ...]
    feeds: tuple[tuple[int, ...], ...]
    inputs: tuple[float | None, ...]

    def reordered(self, order: Sequence[int]) -> Graph:
        """Return the graph with its nodes in another topological order, given as places."""
        place = {old: new for new, old in enumerate(order)}
        return Graph(
            tuple(self.nodes[old] for old in order),
            tuple(tuple(place[feed] for feed in self.feeds[old]) for old in order),
            tuple(self.inputs[old] for old in order),
        )

    @property
    def last_uses(self) -> list[int]:
        """For each node, the place of the last one that needs its tensor; itself if none does."""
        found = list(range(len(self.nodes)))
        for place, feeds in enumerate(self.feeds):
            for feed in feeds:
                found[feed] = max(found[feed], place)
        return found

    def outputs(self) -> list[int]:
        """Places of the nodes that nobody takes from, without idle ones if others compute.

        An idle one is a part of a tuple that nobody uses.
        """
        sinks = [place for place, last in enumerate(self.last_uses) if place == last]
        return [place for place in sinks if not self.nodes[place].idle] or sinks

    def _needed(self) -> set[int]:
        """Places of the nodes that an output depends on, the outputs included."""
        found, stack = set(), self.outputs()
        while stack:
            place = stack.pop()
            if place not in found:
                found.add(place)
                stack += self.feeds[place]
        return found

    def cut_nodes(self) -> list[int]:
        """Places of the nodes through which all data flows on its way to the outputs.

        In a topological order these are the nodes that no edge jumps over, edges from the data
        to whatever takes it and from the outputs to the end included.
        """
        size = len(self.nodes)
        jumps = np.zeros(size + 1, dtype=np.int64)
        needed = self._needed()
        for place, feeds in enumerate(self.feeds):
            if place not in needed:
                continue
            # the data stands before all nodes: an edge from it starts at place -1
            starts = [*feeds, -1] if self.inputs[place] is not None or not feeds else feeds
            for start in starts:
                if place - start > 1:
                    jumps[start + 1] += 1
                    jumps[place] -= 1
        for place in self.outputs():
            jumps[place + 1] += 1
        return np.flatnonzero(np.cumsum(jumps[:size]) == 0).tolist()
