"""A chain over a graph of torch.fx, and the parts that are built from pieces of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from copy import copy as shallow
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, Interpreter, Node

from splitopt.documents.checks import is_whole
from splitopt.profiles.tracing.cuts.chain import Chain, attach, is_kept
from splitopt.profiles.tracing.fx.liveness import Flow, analyse, follow_writes
from splitopt.profiles.tracing.fx.names import value_names
from splitopt.profiles.tracing.fx.rewriting import rewrite
from splitopt.profiles.tracing.fx.writing import mark, source_of
from splitopt.profiles.tracing.running.example import Inputs, fresh


@dataclass(frozen=True)
class Seen:
    """What a node was seen to give for two sizes of the batch."""

    small: Any
    large: Any


class _Recorder(Interpreter):
    """Runs a graph and keeps the shapes of its tensors and its other values."""

    def __init__(self, root: nn.Module, graph: Graph) -> None:
        super().__init__(root, graph=graph)
        self.found: dict[Node, Any] = {}

    def run_node(self, node: Node) -> Any:
        result = super().run_node(node)
        self.found[node] = result.shape if isinstance(result, Tensor) else result
        return result


@dataclass(frozen=True)
class Traced:
    """A graph with what is known of its values.

    Parameters
    ----------
    graph, flow
        The graph, and which of its values can be cut at.
    seen
        What every node gave for batches of `samples` samples.
    inputs
        The number of inputs of the example.
    constants
        Tensors of the graph that are not the module's own, by name.
    """

    graph: Graph
    flow: Flow
    seen: Mapping[Node, Seen]
    samples: tuple[int, int]
    inputs: int
    constants: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        graph: Graph,
        root: nn.Module,
        batches: tuple[Inputs, Inputs],
        constants: Mapping[str, Any],
        *,
        with_effects: bool = True,
    ) -> Traced:
        """Run a graph on two batches and find its cuts; without effects it serves to count only."""
        if with_effects:
            rewrite(graph)
        follow_writes(graph, root)
        runs = []
        for batch in batches:
            recorder = _Recorder(root, graph)
            with torch.no_grad():
                recorder.run(*fresh(batch))
            runs.append(recorder.found)
        small, large = runs
        seen = {node: Seen(small[node], large[node]) for node in graph.nodes if node in small}
        samples = batches[0][0].shape[0], batches[1][0].shape[0]
        flow = analyse(graph, root, with_effects=with_effects)
        return cls(graph, flow, seen, samples, len(batches[0]), constants)

    def cuts(self) -> list[Node]:
        """Return the values to cut at: tensors that grow with the batch, from which all goes on."""
        return [
            node
            for node in self.flow.cuts
            if self._is_batch(node) and Piece(self, node, None).knows_its_sizes()
        ]

    def placeholders(self) -> list[Node]:
        """Return the inputs that the example has; others keep their defaults."""
        found = (node for node in self.graph.nodes if node.op == "placeholder")
        return list(found)[: self.inputs]

    def _is_batch(self, node: Node) -> bool:
        seen, (few, many) = self.seen[node], self.samples
        if not isinstance(seen.small, torch.Size):
            return False
        return seen.small.numel() * many == seen.large.numel() * few and seen.small.numel() > 0

    def known(self, value: int, other: int, source: Node) -> tuple[int, int, int] | int | None:
        """Express a size by the shape of `source`.

        Returns
        -------
        The size itself if it does not depend on the batch; ``(axis, times, over)`` for the size of
        an axis of `source` times and over whole numbers; None if neither is possible.
        """
        few, many = self.samples
        if value == other:
            return value
        shape = self.seen[source]
        if value * many == other * few:
            for axis, (one, two) in enumerate(zip(shape.small, shape.large, strict=True)):
                if one * many == two * few and one:
                    return axis, value, one
        return None


class GraphChain(Chain):
    """A chain of values of a graph.

    Parameters
    ----------
    method
        ``fx`` or ``export``.
    module
        The module that the graphs were traced from.
    train, evaluation
        The graphs of both modes; the same object where the module makes no difference.
    trainable
        Whether the graphs do all that the module does; otherwise they serve to count.
    """

    def __init__(
        self,
        method: str,
        module: nn.Module,
        train: Traced,
        evaluation: Traced,
        *,
        notes: Sequence[str] = (),
        trainable: bool = True,
    ) -> None:
        self.method, self.notes, self.trainable = method, tuple(notes), trainable
        self._module, self._train, self._evaluation = module, train, evaluation
        cuts, names = self._named(train)
        self._there: dict[Node, Node] = {}
        if evaluation is not train:
            # Nodes of a graph of torch.fx have the same names in both modes. Those of torch.export
            # are numbered, so that they are told by the modules around them.
            others, own = self._named(evaluation)
            if method == "fx":
                there = {node.name: node for node in others}
                self._there = {node: there[node.name] for node in cuts if node.name in there}
            else:
                named = dict(zip(own, others, strict=True))
                pairs = zip(names, cuts, strict=True)
                self._there = {node: named[name] for name, node in pairs if name in named}
            cuts = [node for node in cuts if node in self._there]
            names = value_names(cuts, train.flow.order, module)
        self._ends: tuple[Node | None, ...] = tuple(cuts)
        if not cuts or cuts[-1] is not _single(train.flow.result):
            self._ends, names = (*cuts, None), (*names, "output")
        self.names = names

    def _named(self, traced: Traced) -> tuple[list[Node], tuple[str, ...]]:
        cuts = traced.cuts()
        return cuts, value_names(cuts, traced.flow.order, self._module)

    def on(self, module: nn.Module) -> GraphChain:
        """Return the same chain over a copy of the module."""
        again = shallow(self)
        again._module = module
        return again

    def part(self, first: int, last: int, *, copy: bool = False) -> nn.Module:
        """Build the module of the nodes between two values."""
        part = GraphPart()
        for mode, code in self.codes(first, last, copy=copy).items():
            for target, value in code.targets.items():
                kept = target not in code.constants and is_kept(self._module, target)
                attach(part, target, value, persistent=kept)
            part.set_code(mode, code.graph)
        return part

    def codes(self, first: int, last: int, *, copy: bool = False) -> dict[bool, PieceCode]:
        """Return what runs between two values in training (True), and in evaluation if other."""
        found = {}
        for mode, traced in {True: self._train, False: self._evaluation}.items():
            if mode or traced is not self._train:
                start = self._end(first, traced) if first else None
                piece = Piece(traced, start, self._end(last, traced), copy)
                graph = piece.build()
                values = {target: self._get(target, traced) for target in piece.targets}
                own = frozenset(target for target in values if target in traced.constants)
                found[mode] = PieceCode(graph, values, own)
        return found

    def _end(self, value: int, traced: Traced) -> Node | None:
        node = self._ends[value - 1]
        return node if node is None or traced is self._train else self._there[node]

    def _get(self, target: str, traced: Traced) -> Any:
        if target in traced.constants:
            return traced.constants[target]
        return operator.attrgetter(target)(self._module) if target else self._module


@dataclass(frozen=True)
class PieceCode:
    """The graph of a piece and what it uses of the module.

    Parameters
    ----------
    graph
        Its nodes, from one value to another.
    targets
        Modules, parameters, buffers and constants by the names that the graph has for them.
    constants
        Names of the targets that are not the module's own.
    """

    graph: Graph
    targets: Mapping[str, Any]
    constants: frozenset[str]


class GraphPart(nn.Module):
    """Runs the code of a piece of a graph; in evaluation mode that of the other graph, if any."""

    def __init__(self) -> None:
        super().__init__()
        self._codes: dict[bool, Callable[..., Any]] = {}

    def set_code(self, training: bool, graph: Graph) -> None:
        """Compile a graph as the forward pass of a mode."""
        text, names = source_of(graph)
        space: dict[str, Any] = dict(names)
        exec(compile(text, "<part of a traced module>", "exec"), space)
        self._codes[training] = space["forward"]

    def forward(self, *inputs: Any) -> Any:
        """Run the piece."""
        code = self._codes.get(self.training) or self._codes[True]
        return code(self, *inputs)


@dataclass
class Piece:
    """The nodes from one value (None: the input) to another (None: what the module returns)."""

    traced: Traced
    start: Node | None
    end: Node | None
    copy: bool = False
    targets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._place = {node: index for index, node in enumerate(self.traced.flow.order)}

    def knows_its_sizes(self) -> bool:
        """Whether all sizes of earlier values follow from the shape of the start."""
        return all(
            self.traced.known(one, two, self.start) is not None
            for node in self._needed()
            if node in self.traced.flow.sizes and self._asks_outside(node)
            for one, two in _pairs(self.traced.seen[node])
            if self.start is not None
        )

    def build(self) -> Graph:
        """Copy the nodes into a graph of their own."""
        graph, new = Graph(), {}
        flow = self.traced.flow
        needed = self._needed()
        entries = [self.start] if self.start is not None else self.traced.placeholders()
        for node in entries:
            assert node is not None
            entry = graph.placeholder(node.name)
            # What asks for sizes asks the value that came in, everything else works on the copy.
            new[node] = graph.call_method("clone", (entry,)) if self.copy else entry
        gradients = True
        for node in flow.order:
            if node not in needed or node in new:
                continue
            gradients = mark(graph, gradients, node)
            if node in flow.sizes and self._asks_outside(node):
                new[node] = self._restated(node, graph, new)
                continue
            new[node] = graph.node_copy(node, lambda item: new[item])
            if node.op in ("call_module", "get_attr"):
                self.targets.append(str(node.target))
        mark(graph, gradients)
        graph.output(torch.fx.map_arg(self._returned(), lambda item: new[item]))
        return graph

    def _returned(self) -> Any:
        if self.end is not None:
            return self.end
        result = self.traced.flow.result
        single = _single(result)
        return single if single is not None else result.args[0]

    def _needed(self) -> set[Node]:
        """Nodes that the end or an effect on the way needs, back to the start.

        Sizes of earlier values are restated.
        """
        seen: set[Node] = set()
        waiting = [node for node in self.traced.flow.effects if self._is_on_the_way(node)]
        torch.fx.map_arg(self._returned(), waiting.append)
        while waiting:
            node = waiting.pop()
            if node in seen or node is self.start:
                continue
            seen.add(node)
            if not (node in self.traced.flow.sizes and self._asks_outside(node)):
                waiting += node.all_input_nodes
        return seen

    def _is_on_the_way(self, node: Node) -> bool:
        """Whether a node runs behind the start, and not behind the end unless that is the last."""
        place = self._place[node]
        if self.start is not None and place <= self._place[self.start]:
            return False
        if self.end is None or self.end is _single(self.traced.flow.result):
            return True
        return place <= self._place[self.end]

    def _asks_outside(self, node: Node) -> bool:
        """Whether a size is asked of a value that the piece does not have."""
        if self.start is None:
            return False
        asked = [item for item in node.all_input_nodes if item in self.traced.flow.data]
        return any(self._place[item] < self._place[self.start] for item in asked)

    def _restated(self, node: Node, graph: Graph, new: Mapping[Node, Node]) -> Any:
        """Return a size of an earlier value by the shape of the start, or as a number."""
        assert self.start is not None
        source, seen = new[self.start], self.traced.seen[node]
        if isinstance(seen.small, torch.device):
            return graph.call_function(getattr, (source, "device"))
        pairs = _pairs(seen)
        if not pairs:
            return seen.small
        sizes = tuple(self._size(one, two, source, graph) for one, two in pairs)
        return sizes if isinstance(seen.small, tuple) else sizes[0]

    def _size(self, one: int, two: int, source: Node, graph: Graph) -> Any:
        assert self.start is not None
        known = self.traced.known(one, two, self.start)
        if not isinstance(known, tuple):
            return known
        axis, times, over = known
        size = graph.call_method("size", (source, axis))
        if times == over:
            return size
        product = graph.call_function(operator.mul, (size, times))
        return graph.call_function(operator.floordiv, (product, over))


def _pairs(seen: Seen) -> list[tuple[int, int]]:
    """Return the whole numbers of a size for both batches; none for a type or a device."""
    if isinstance(seen.small, tuple):
        return list(zip(seen.small, seen.large, strict=True))
    return [(seen.small, seen.large)] if is_whole(seen.small) else []


def _single(result: Node) -> Node | None:
    """Return the value that is returned, if it is one; torch.export returns it in a tuple."""
    value = result.args[0]
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], Node):
        value = value[0]
    return value if isinstance(value, Node) else None
