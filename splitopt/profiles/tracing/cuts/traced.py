"""A graph of torch.fx with what is known of its values from running it on two batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, Interpreter, Node

from splitopt.documents.checks import is_whole
from splitopt.profiles.tracing.cuts.packing import Layout, layout_of
from splitopt.profiles.tracing.cuts.varying import along
from splitopt.profiles.tracing.fx.liveness import Flow, Front, analyse, follow_writes
from splitopt.profiles.tracing.fx.rewriting import rewrite
from splitopt.profiles.tracing.running.example import Inputs, fresh, tensors_in

Sizes = tuple[int, int, int]
"""A size with the small batch, the large one, and the small one of shorter samples."""


@dataclass(frozen=True)
class Seen:
    """What a node was seen to give for two sizes of the batch; shape and type of a tensor.

    ``shorter`` is what it gave for the small batch of shorter samples, None if there was none.
    """

    small: Any
    large: Any
    dtype: torch.dtype | None = None
    shorter: Any = None

    @property
    def sizes(self) -> list[Sizes]:
        """The whole numbers of a size; none for a type or a device."""
        third = self.small if self.shorter is None else self.shorter
        if isinstance(self.small, tuple):
            return list(zip(self.small, self.large, third, strict=True))
        return [(self.small, self.large, third)] if is_whole(self.small) else []


class _Recorder(Interpreter):
    """Runs a graph and keeps the shapes of its tensors and its other values."""

    def __init__(self, root: nn.Module, graph: Graph) -> None:
        super().__init__(root, graph=graph)
        self.found: dict[Node, Any] = {}
        self.types: dict[Node, torch.dtype] = {}

    def run_node(self, node: Node) -> Any:
        result = super().run_node(node)
        self.found[node] = result.shape if isinstance(result, Tensor) else result
        if isinstance(result, Tensor):
            self.types[node] = result.dtype
        return result


def _positions(whole: Inputs, shorter: Inputs) -> tuple[int, int] | None:
    """Return the first side of inputs that is smaller in shorter samples, in both."""
    pairs = zip(tensors_in(whole), tensors_in(shorter), strict=True)
    sides = [side for one, two in pairs for side in zip(one.shape, two.shape, strict=True)]
    return next(((one, two) for one, two in sides if one > two), None)


@dataclass(frozen=True)
class Traced:
    """A graph with what is known of its values.

    Parameters
    ----------
    graph, flow
        The graph, and what is alive behind each of its values.
    seen
        What every node gave for batches of `samples` samples.
    inputs
        The number of inputs of the example.
    constants
        Tensors of the graph that are not the module's own, by name.
    positions
        How many the samples of the first batch have, and those that are shorter; None where all
        have one length.
    """

    graph: Graph
    flow: Flow
    seen: Mapping[Node, Seen]
    samples: tuple[int, int]
    inputs: int
    constants: Mapping[str, Any]
    positions: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        graph: Graph,
        root: nn.Module,
        batches: Sequence[Inputs],
        constants: Mapping[str, Any],
        *,
        with_effects: bool = True,
    ) -> Traced:
        """Run a graph on batches and follow it; without effects it serves to count only.

        They are a small and a large one, and a small one of shorter samples where lengths vary.
        """
        if with_effects:
            rewrite(graph)
        follow_writes(graph, root)
        runs = []
        for batch in batches:
            recorder = _Recorder(root, graph)
            with torch.no_grad():
                recorder.run(*fresh(batch))
            runs.append(recorder)
        small, large, *short = (run.found for run in runs)
        kinds = runs[0].types
        seen = {
            node: Seen(small[node], large[node], kinds.get(node), *(own[node] for own in short))
            for node in graph.nodes
            if node in small
        }
        samples = tensors_in(batches[0])[0].shape[0], tensors_in(batches[1])[0].shape[0]
        flow = analyse(graph, root, with_effects=with_effects)
        positions = _positions(batches[0], batches[2]) if short else None
        return cls(graph, flow, seen, samples, len(batches[0]), constants, positions)

    def layout(self, front: Front) -> Layout | None:
        """Return how the tensors of a front are packed in one; None for one, or if they cannot."""
        if len(front.values) == 1:
            return None
        seen = [self.seen[node] for node in front.values]
        found = layout_of([(item.small, item.large, item.dtype) for item in seen], self.samples)
        if found is None or self.positions is None:
            return found
        shorter = [tuple(item.shorter) for item in seen]
        try:
            return along(found, shorter, self.samples[0], *self.positions)
        except ValueError:
            return None

    def can_cross(self, front: Front) -> bool:
        """Whether the tensors of a front grow with the batch, and several of them can be packed."""
        if not all(map(self._is_batch, front.values)):
            return False
        return len(front.values) == 1 or self.layout(front) is not None

    def placeholders(self) -> list[Node]:
        """Return the inputs that the example has; others keep their defaults."""
        found = (node for node in self.graph.nodes if node.op == "placeholder")
        return list(found)[: self.inputs]

    def _is_batch(self, node: Node) -> bool:
        seen, (few, many) = self.seen[node], self.samples
        if not isinstance(seen.small, torch.Size):
            return False
        return seen.small.numel() * many == seen.large.numel() * few and seen.small.numel() > 0

    def known(
        self, value: Sizes, sources: Sequence[Node]
    ) -> tuple[Node, int, int, int] | int | None:
        """Express a size by the shape of one of some values.

        One that follows the length of samples is the number that was seen where no value has it.

        Returns
        -------
        The size itself if it does not depend on the batch; ``(source, axis, times, over)`` for the
        size of an axis of `source` times and over whole numbers; None if neither is possible.
        """
        few, many = self.samples
        small, large, short = value
        for source in sources:
            for axis, (one, two, third) in enumerate(self.seen[source].sizes):
                grows = one != two or small != large
                if grows and not (small * many == large * few and one * many == two * few):
                    continue
                if one and (grows or small != short) and small * third == short * one:
                    return source, axis, small, one
        if small == large:
            return small
        return None if small == short else self.known((small, large, small), sources)
