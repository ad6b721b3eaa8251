"""The nodes of a graph that one machine runs: from tensors that arrive to tensors that leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Graph, Node

from splitopt.errors import CapabilityError
from splitopt.profiles.tracing.cuts.graph import Piece
from splitopt.profiles.tracing.fx.writing import mark


@dataclass
class Portion(Piece):
    """Some nodes of a graph, wherever they lie in it.

    Parameters
    ----------
    own
        The nodes that give data and run here.
    taken
        What arrives: inputs of the module, and values that other portions compute.
    given
        Those of `own` that leave, in the order in which they are returned.
    overwritten
        Those of `given` that a later node of `own` writes over: what leaves is a copy.
    """

    own: frozenset[Node] = frozenset()
    taken: tuple[Node, ...] = ()
    given: tuple[Node, ...] = ()
    overwritten: frozenset[Node] = frozenset()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._starts = self.taken

    def build(self) -> Graph:
        """Copy the nodes into a graph of their own, in the order of the whole."""
        graph = Graph()
        new: dict[Node, Any] = {node: graph.placeholder(node.name) for node in self.taken}
        left: dict[Node, Any] = {}
        needed, gradients = self._needed(), True
        for node in self.traced.flow.order:
            if node not in needed or node in new:
                continue
            gradients = mark(graph, gradients, node)
            if node in self.traced.flow.sizes and self._asks_outside(node):
                self._expect_known(node)
                new[node] = self._restated(node, graph, new)
                continue
            new[node] = graph.node_copy(node, lambda item: new[item])
            if node.op in ("call_module", "get_attr"):
                self.targets.append(str(node.target))
            if node in self.overwritten:
                left[node] = graph.call_method("clone", (new[node],))
        mark(graph, gradients)
        graph.output(tuple(left.get(node, new[node]) for node in self.given))
        return graph

    def _needed(self) -> set[Node]:
        """Return the own nodes, and the sizes and constants that they ask for."""
        seen: set[Node] = set()
        waiting = list(self.own)
        while waiting:
            node = waiting.pop()
            if node in seen or node in self.taken:
                continue
            seen.add(node)
            if not (node in self.traced.flow.sizes and self._asks_outside(node)):
                waiting += [item for item in node.all_input_nodes if not self._is_elsewhere(item)]
        return seen

    def _is_elsewhere(self, node: Node) -> bool:
        """Whether a node gives data and runs elsewhere."""
        return node in self.traced.flow.data and node not in self.own and node not in self.taken

    def _asks_outside(self, node: Node) -> bool:
        """Whether a size is asked of a value that the portion does not have."""
        return any(self._is_elsewhere(item) for item in node.all_input_nodes)

    def _expect_known(self, node: Node) -> None:
        """Reject a size of a value elsewhere that follows from the shape of nothing that arrives.

        Raises
        ------
        CapabilityError
            The size grows with the batch, and no tensor that arrives has an axis that does.
        """
        sizes = self.traced.seen[node].sizes
        if any(self.traced.known(own, self._starts) is None for own in sizes) or (
            isinstance(self.traced.seen[node].small, torch.device) and not self._starts
        ):
            raise CapabilityError(
                f"a part of the graph needs the size {node.name} of a tensor of another part, and "
                "nothing that it is given has this size; take it from a tensor that is used there"
            )
