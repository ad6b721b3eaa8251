"""A chain over a graph of torch.fx, and the parts that are built from pieces of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from copy import copy as shallow
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, Node

from splitopt.profiles.tracing.cuts.chain import Chain, attach, is_kept
from splitopt.profiles.tracing.cuts.packing import Layout, pack, unpack
from splitopt.profiles.tracing.cuts.traced import Sizes, Traced
from splitopt.profiles.tracing.cuts.varying import pack_any, unpack_any
from splitopt.profiles.tracing.fx.liveness import Front
from splitopt.profiles.tracing.fx.names import value_names
from splitopt.profiles.tracing.fx.writing import mark, source_of


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
    most
        How many tensors may cross a cut.
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
        most: int = 1,
    ) -> None:
        self.method, self.notes, self.trainable = method, tuple(notes), trainable
        self._module, self._train, self._evaluation = module, train, evaluation
        self.most = most
        cuts, names = self._named(train)
        self._there: dict[Front, Front] = {}
        if evaluation is not train:
            self._there = self._paired(cuts, names)
            cuts = [front for front in cuts if front in self._there]
            names = value_names([front.node for front in cuts], train.flow.order, module)
        returned = returned_value(train.flow.result)
        self._ends: tuple[Front | None, ...] = tuple(cuts)
        if not cuts or cuts[-1].values != (returned,):
            self._ends, names = (*cuts, None), (*names, "output")
        self.names = names

    def _named(self, traced: Traced) -> tuple[list[Front], tuple[str, ...]]:
        cuts = cuts_of(traced, self.most)
        nodes = [front.node for front in cuts]
        return cuts, value_names(nodes, traced.flow.order, self._module)

    def _paired(self, cuts: Sequence[Front], names: Sequence[str]) -> dict[Front, Front]:
        """Find the cuts of training in the graph of evaluation, packed in the same way.

        Nodes of a graph of torch.fx have the same names in both modes. Those of torch.export are
        numbered, so that they are told by the modules around them.
        """
        others, own = self._named(self._evaluation)
        if self.method == "fx":
            names, own = [_names(front) for front in cuts], tuple(map(_names, others))
        there = dict(zip(own, others, strict=True))
        return {
            front: there[name]
            for name, front in zip(names, cuts, strict=True)
            if name in there and self._train.layout(front) == self._evaluation.layout(there[name])
        }

    @property
    def traced(self) -> Traced:
        """The graph of training."""
        return self._train

    def front(self, value: int) -> Front | None:
        """Return what is alive behind a value in training; None behind what is returned."""
        return self._ends[value - 1]

    def on(self, module: nn.Module) -> GraphChain:
        """Return the same chain over a copy of the module."""
        again = shallow(self)
        again._module = module
        return again

    def layout(self, value: int) -> Layout | None:
        """Return how several tensors that make up a value are packed."""
        front = self._ends[value - 1]
        return None if front is None else self._train.layout(front)

    def part(self, first: int, last: int, *, copy: bool = False, apart: bool = False) -> nn.Module:
        """Build the module of the nodes between two values."""
        return self.part_of(self.codes(first, last, copy=copy, apart=apart))

    def part_of(self, codes: Mapping[bool, PieceCode]) -> GraphPart:
        """Build the module that runs some code in training (True), and in evaluation if other."""
        part = GraphPart()
        for mode, code in codes.items():
            for target, value in code.targets.items():
                kept = target not in code.constants and is_kept(self._module, target)
                attach(part, target, value, persistent=kept)
            part.set_code(mode, code.graph)
        return part

    def codes(
        self, first: int, last: int, *, copy: bool = False, apart: bool = False
    ) -> dict[bool, PieceCode]:
        """Return what runs between two values in training (True), and in evaluation if other."""
        found = {}
        for mode, traced in {True: self._train, False: self._evaluation}.items():
            if mode or traced is not self._train:
                start = self._end(first, traced) if first else None
                piece = Piece(traced, start, self._end(last, traced), copy, apart)
                found[mode] = self.code_of(piece)
        return found

    def code_of(self, piece: Piece) -> PieceCode:
        """Write the code of a piece, with what it uses of the module."""
        graph, traced = piece.build(), piece.traced
        values = {target: self._get(target, traced) for target in piece.targets}
        own = frozenset(target for target in values if target in traced.constants)
        return PieceCode(graph, values, own)

    def _end(self, value: int, traced: Traced) -> Front | None:
        front = self._ends[value - 1]
        return front if front is None or traced is self._train else self._there[front]

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
    """The nodes from one front (None: the input) to another (None: what the module returns).

    Several tensors cross a front packed in one, unless they are to be kept `apart`.
    """

    traced: Traced
    start: Front | None
    end: Front | None
    copy: bool = False
    apart: bool = False
    targets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._place = {node: index for index, node in enumerate(self.traced.flow.order)}
        self._starts = () if self.start is None else self.start.values

    def knows_its_sizes(self) -> bool:
        """Whether all sizes of earlier values follow from the shape of the start."""
        return all(
            self.traced.known(sizes, self._starts) is not None
            for node in self._needed()
            if node in self.traced.flow.sizes and self._asks_outside(node)
            for sizes in self.traced.seen[node].sizes
            if self.start is not None
        )

    def build(self) -> Graph:
        """Copy the nodes into a graph of their own."""
        graph = Graph()
        flow = self.traced.flow
        needed = self._needed()
        new = self._entries(graph)
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
        returned = torch.fx.map_arg(self._returned(), lambda item: new[item])
        layout = None if self.end is None or self.apart else self.traced.layout(self.end)
        if layout is not None:
            write = pack_any if layout.room else pack
            returned = write(graph, returned, layout)
        graph.output(returned)
        return graph

    def _entries(self, graph: Graph) -> dict[Node, Any]:
        """Write what comes in, and return the values that the nodes before the piece have there."""
        layout = None if self.start is None or self.apart else self.traced.layout(self.start)
        if layout is not None:
            read = unpack_any if layout.room else unpack
            values = read(graph, graph.placeholder("packed"), layout)
            return dict(zip(self._starts, values, strict=True))
        new: dict[Node, Any] = {}
        for node in self._starts or self.traced.placeholders():
            entry = graph.placeholder(node.name)
            new[node] = graph.call_method("clone", (entry,)) if self.copy else entry
        return new

    def _returned(self) -> Any:
        if self.end is not None:
            values = self.end.values
            return values[0] if len(values) == 1 else values
        result = self.traced.flow.result
        single = returned_value(result)
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
            if node in seen or node in self._starts:
                continue
            seen.add(node)
            if not (node in self.traced.flow.sizes and self._asks_outside(node)):
                waiting += node.all_input_nodes
        return seen

    def _is_on_the_way(self, node: Node) -> bool:
        """Whether a node runs behind the start, and not behind the end unless that is the last."""
        place = self._place[node]
        if self.start is not None and place <= self._place[self.start.node]:
            return False
        if self.end is None or self.end.values == (returned_value(self.traced.flow.result),):
            return True
        return place <= self._place[self.end.node]

    def _asks_outside(self, node: Node) -> bool:
        """Whether a size is asked of a value that the piece does not have."""
        if self.start is None:
            return False
        asked = [item for item in node.all_input_nodes if item in self.traced.flow.data]
        first = self._place[self.start.node]
        return any(self._place[item] < first for item in asked if item not in self._starts)

    def _restated(self, node: Node, graph: Graph, new: Mapping[Node, Node]) -> Any:
        """Return a size of an earlier value by the shapes of the start, or as a number."""
        seen = self.traced.seen[node]
        if isinstance(seen.small, torch.device):
            return graph.call_function(getattr, (new[self._starts[0]], "device"))
        if not seen.sizes:
            return seen.small
        sizes = tuple(self._size(own, graph, new) for own in seen.sizes)
        return sizes if isinstance(seen.small, tuple) else sizes[0]

    def _size(self, sizes: Sizes, graph: Graph, new: Mapping[Node, Node]) -> Any:
        known = self.traced.known(sizes, self._starts)
        if not isinstance(known, tuple):
            return known
        source, axis, times, over = known
        size = graph.call_method("size", (new[source], axis))
        if times == over:
            return size
        product = graph.call_function(operator.mul, (size, times))
        return graph.call_function(operator.floordiv, (product, over))


def cuts_of(traced: Traced, most: int = 1) -> list[Front]:
    """Return where a graph can be cut: at most so many tensors, from which all goes on.

    Behind the last front of several nothing is left to be done, so that there is no cut.
    """
    fronts = traced.flow.fronts
    return [
        front
        for front in fronts
        if len(front.values) <= most
        and (len(front.values) == 1 or front is not fronts[-1])
        and traced.can_cross(front)
        and Piece(traced, front, None).knows_its_sizes()
    ]


def _names(front: Front) -> str:
    """Name the values of a front, by which it is found in the graph of the other mode."""
    return " ".join(node.name for node in front.values)


def returned_value(result: Node) -> Node | None:
    """Return the value that is returned, if it is one; torch.export returns it in a tuple."""
    value = result.args[0]
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], Node):
        value = value[0]
    return value if isinstance(value, Node) else None
