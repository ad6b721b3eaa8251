"""The layers of a traced graph: who feeds whom, and the parts that run any of them together.

A layer is what runs between two neighbouring values at which all that is still needed can cross.
Its *output* is what later layers read of it. Sizes and constants are computed anew wherever they
are needed, so that no layer feeds another with them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from torch import nn
from torch.fx import Node
from torch.fx.node import map_arg

from splitopt.errors import CapabilityError
from splitopt.profiles.table.layer_graph import LayerGraph, joined
from splitopt.profiles.tracing.cuts.graph import (
    GraphChain,
    GraphPart,
    PieceCode,
    returned_value,
)
from splitopt.profiles.tracing.cuts.portion import Portion
from splitopt.profiles.tracing.fx.liveness import memory_of, written
from splitopt.profiles.tracing.split import SplitModel


class Tensors(NamedTuple):
    """The output of a layer as a part takes or gives it: the layer, and how many tensors."""

    layer: int
    tensors: int


@dataclass(frozen=True, eq=False)
class GraphPiece:
    """Some layers of a graph as one module over several tensors.

    Parameters
    ----------
    module
        Called with the inputs of the model of these numbers, and then with what it takes, in order;
        returns a tuple of what it gives, and last the results of the model that are computed here.
    layers
        Numbers of its layers, in the order of execution.
    inputs
        Numbers of the inputs of the model that it is given.
    takes, gives
        Outputs of layers elsewhere that it needs, and own ones that are needed elsewhere.
    returns
        Numbers of the results of the model that are computed here, in `GraphLayers.results`.
    code
        What the module runs.
    """

    module: GraphPart
    layers: tuple[int, ...]
    inputs: tuple[int, ...]
    takes: tuple[Tensors, ...]
    gives: tuple[Tensors, ...]
    returns: tuple[int, ...]
    code: PieceCode


@dataclass(frozen=True, eq=False)
class GraphLayers:
    """The layers of a model that was split at every value of its graph.

    Parameters
    ----------
    split
        All cuts, found in the graph of ``fx`` or ``export``.
    """

    split: SplitModel

    @property
    def chain(self) -> GraphChain:
        """The values of the graph in an order of execution."""
        chain = self.split.chain
        assert isinstance(chain, GraphChain)  # whoever asks for a graph looks for no other
        return chain

    @cached_property
    def _order(self) -> tuple[Node, ...]:
        return self.chain.traced.flow.order

    @cached_property
    def _layer(self) -> dict[Node, int]:
        """The layer of every node that gives data, without the inputs."""
        place = {node: index for index, node in enumerate(self._order)}
        fronts = [self.chain.front(value) for value in self.split.structure.values[:-1]]
        ends = [place[front.node] for front in fronts if front is not None]
        data = self.chain.traced.flow.data
        return {
            node: bisect_left(ends, place[node])
            for node in self._order
            if node in data and node.op != "placeholder"
        }

    @cached_property
    def outputs(self) -> tuple[tuple[Node, ...], ...]:
        """The values of each layer that later ones read."""
        found: list[list[Node]] = [[] for _ in self.split.layers]
        for node, layer in self._layer.items():
            if any(self._layer.get(user, layer) > layer for user in node.users):
                found[layer].append(node)
        return tuple(map(tuple, found))

    def edges(self) -> list[tuple[int, int]]:
        """Return which layer feeds which, each pair once."""
        found = {
            (self._layer[source], layer)
            for node, layer in self._layer.items()
            for source in node.all_input_nodes
            if source in self._layer and self._layer[source] != layer
        }
        return sorted(found)

    @cached_property
    def results(self) -> tuple[Node, ...]:
        """The values that the model returns, each once, in order.

        Raises
        ------
        CapabilityError
            One of them is no value that the model computes, or there is none.
        """
        found: dict[Node, None] = {}
        map_arg(self._returned, lambda node: found.setdefault(node))
        if not found or any(node not in self._layer for node in found):
            raise CapabilityError(
                "the model returns what it does not compute, such as an input or a size, which has "
                "no machine; wrap it in a module that returns what the loss is of"
            )
        return tuple(found)

    @property
    def _returned(self) -> Any:
        result = self.chain.traced.flow.result
        single = returned_value(result)
        return result.args[0] if single is None else single

    def returned(self, values: Sequence[Any]) -> Any:
        """Return values in the place of `results`, as the model returns them."""
        known = dict(zip(self.results, values, strict=True))
        return map_arg(self._returned, lambda node: known[node])

    def output_bytes(self, nodes: Iterable[Node]) -> float:
        """Return the bytes per sample of some values."""
        traced = self.chain.traced
        total = 0.0
        for node in nodes:
            seen = traced.seen[node]
            assert seen.dtype is not None  # what crosses is a tensor
            total += seen.small.numel() / traced.samples[0] * seen.dtype.itemsize
        return total

    @cached_property
    def learned(self) -> frozenset[Node]:
        """The values for which a gradient comes back in training."""
        found: set[Node] = set()
        for value in self.split.structure.values:
            front, layout = self.chain.front(value), self.split.packed.get(value)
            if front is not None and layout is not None:
                pairs = zip(front.values, layout.sections, strict=True)
                found |= {node for node, section in pairs if section.is_learned}
        return frozenset(found)

    def graph(self, gradients: Sequence[float]) -> LayerGraph:
        """Return the graph of the layers.

        Parameters
        ----------
        gradients
            Bytes of the gradient behind each layer where a single tensor crosses there.
        """
        sizes, back = [], []
        for layer, nodes in enumerate(self.outputs):
            value = self.split.structure.values[layer]
            alone = value not in self.split.packed and gradients[layer] > 0
            sizes.append(self.output_bytes(nodes))
            back.append(self.output_bytes(n for n in nodes if alone or n in self.learned))
        edges = np.array(self.edges(), dtype=np.int64).reshape(-1, 2)
        return LayerGraph(edges, np.array(sizes), np.array(back), self.together())

    def together(self) -> tuple[tuple[int, ...], ...]:
        """Return the layers that one machine must run: tied weights, and memory written over."""
        groups: list[Sequence[int]] = [users for _, _, users in self.split.shared]
        for node, layer in self._layer.items():
            target = written(node, self.split.module)
            for value in () if target is None else memory_of(target):
                users = {self._layer[user] for user in value.users if user in self._layer}
                groups.append([layer, *users, *self._own(value)])
        return joined([sorted(set(group)) for group in groups])

    def _own(self, node: Node) -> list[int]:
        return [self._layer[node]] if node in self._layer else []

    def piece(self, layers: Iterable[int]) -> GraphPiece:
        """Build the module that runs some layers.

        Parameters
        ----------
        layers
            Numbers of the layers. What they take of others must not depend on what they give.

        Raises
        ------
        CapabilityError
            The graph serves to count only, the model returns what it does not compute, or a size
            cannot be told from what arrives.
        """
        self.split.spans(())  # refuses a graph that serves to count only
        here = frozenset(layers)
        own = frozenset(node for node, layer in self._layer.items() if layer in here)
        sources = {s for node in own for s in node.all_input_nodes if s not in own}
        read = sorted({self._layer[s] for s in sources if s in self._layer})
        places = {node: n for n, node in enumerate(self.chain.traced.placeholders())}
        entries = [node for node in places if node in sources]
        left = sorted({layer for layer in here if self._leaves(layer, here)})
        returns = tuple(n for n, node in enumerate(self.results) if self._layer[node] in here)
        given = [node for layer in left for node in self.outputs[layer]]
        portion = Portion(
            self.chain.traced,
            None,
            None,
            own=own,
            taken=(*entries, *(node for layer in read for node in self.outputs[layer])),
            given=(*given, *(self.results[n] for n in returns)),
            overwritten=self._overwritten(given, own),
        )
        code = self.chain.code_of(portion)
        return GraphPiece(
            self.chain.part_of({True: code}),
            tuple(sorted(here)),
            tuple(places[node] for node in entries),
            tuple(Tensors(layer, len(self.outputs[layer])) for layer in read),
            tuple(Tensors(layer, len(self.outputs[layer])) for layer in left),
            returns,
            code,
        )

    def _leaves(self, layer: int, here: frozenset[int]) -> bool:
        """Whether a layer elsewhere reads the output of one."""
        return any(
            self._layer.get(user, layer) not in here
            for node in self.outputs[layer]
            for user in node.users
        )

    def _overwritten(self, given: Sequence[Node], own: frozenset[Node]) -> frozenset[Node]:
        """Return the values that leave and whose memory is written over afterwards."""
        spoiled = {value for node in own for value in memory_of(written(node, self.split.module))}
        return frozenset(spoiled & set(given))


def parameters_of(pieces: Iterable[GraphPiece]) -> list[nn.Parameter]:
    """Return the trained parameters of some pieces, each once."""
    found = {id(p): p for piece in pieces for p in piece.module.parameters() if p.requires_grad}
    return list(found.values())
