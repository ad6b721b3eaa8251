"""The parts of a graph in one process: forward in the order of the data, backward against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from splitopt.profiles.tracing.layers import GraphLayers, GraphPiece
from splitopt.training.graph.exchange import Host, Traffic

Root = Callable[[Any], tuple[Tensor, Tensor | None]]
"""From what the model returns to where the backward pass begins, and the gradient there."""


class _Ran(NamedTuple):
    """What a part took and gave, by layer, and what of the results of the model it made."""

    leaves: list[list[Tensor]]
    given: list[list[Tensor]]
    results: list[Tensor]


@dataclass(frozen=True, eq=False)
class GraphPipeline:
    """The parts of a graph on their machines.

    Parameters
    ----------
    layers
        The layers of the graph.
    pieces
        Machine -> its part, in an order in which every part finds what it takes.
    traffic
        Machine -> what it has exchanged with the host since the beginning.
    """

    layers: GraphLayers
    pieces: dict[int, GraphPiece]
    traffic: dict[int, Traffic] = field(default_factory=dict)

    @classmethod
    def of(cls, layers: GraphLayers, device: Sequence[int]) -> GraphPipeline:
        """Build the parts of a decision, whose machines exchange data one way.

        Raises
        ------
        CapabilityError
            See `GraphLayers.piece`.
        """
        edges = [(device[a], device[b]) for a, b in layers.edges() if device[a] != device[b]]
        left, pieces = sorted(set(device)), {}
        while left:
            waiting = {b for a, b in edges if a in left}
            machine = next(d for d in left if d not in waiting)
            left.remove(machine)
            own = [layer for layer, there in enumerate(device) if there == machine]
            pieces[machine] = layers.piece(own)
        return cls(layers, pieces, {machine: Traffic() for machine in pieces})

    def train(self, inputs: Sequence[Any], root: Root) -> Any:
        """Run both passes of a micro-batch, which adds to the gradients of the parameters.

        Where the loss is computed, at the host, the results of all machines arrive.

        Parameters
        ----------
        inputs
            The inputs of the model, by position.
        root
            Called with what the model returns.

        Returns
        -------
        What the model returned, without a graph.
        """
        host, ran = Host(self.traffic), {}
        results: dict[int, Tensor] = {}
        for machine, piece in self.pieces.items():
            piece.module.train()
            leaves = [host.read(machine, item.layer) for item in piece.takes]
            # A part may work in place, which a leaf does not bear.
            taken = [leaf.clone() for own in leaves for leaf in own]
            own_inputs = [_copied(inputs[place]) for place in piece.inputs]
            outputs = list(piece.module(*own_inputs, *taken))
            made = outputs[len(outputs) - len(piece.returns) :]
            results |= zip(piece.returns, made, strict=True)
            given = []
            for item in piece.gives:
                given.append(outputs[: item.tensors])
                del outputs[: item.tensors]
                host.write(machine, item.layer, given[-1])
            ran[machine] = _Ran(leaves, given, made)
        back = self._rooted(results, root)
        for machine, piece in reversed(self.pieces.items()):
            own = [back.get(number) for number in piece.returns]
            self._back(host, machine, piece, ran[machine], own)
        return self._as_returned({number: value.detach() for number, value in results.items()})

    def _rooted(self, results: Mapping[int, Tensor], root: Root) -> dict[int, Tensor | None]:
        """Return the gradient of each result that is learned, None where the loss has none."""
        leaves = {n: r.detach().requires_grad_(r.requires_grad) for n, r in results.items()}
        # A loss may work in place, which a leaf does not bear.
        start, gradient = root(self._as_returned({n: r.clone() for n, r in leaves.items()}))
        if start.requires_grad:
            torch.autograd.backward([start], [gradient])
        return {number: leaf.grad for number, leaf in leaves.items()}

    def _as_returned(self, results: Mapping[int, Tensor]) -> Any:
        """Return results as the model returns them."""
        return self.layers.returned([results[number] for number in sorted(results)])

    def _back(
        self,
        host: Host,
        machine: int,
        piece: GraphPiece,
        ran: _Ran,
        back: Sequence[Tensor | None],
    ) -> None:
        """Run the backward pass of a part, from the gradients of its results and outputs."""
        pairs = [(r, g) for r, g in zip(ran.results, back, strict=True) if g is not None]
        roots = [result for result, _ in pairs]
        gradients = [gradient for _, gradient in pairs]
        for item, tensors in zip(piece.gives, ran.given, strict=True):
            learned = [tensor for tensor in tensors if tensor.requires_grad]
            gradients += host.read_gradients(machine, item.layer) if learned else []
            roots += learned
        if roots:
            torch.autograd.backward(roots, gradients)
        for item, leaves in zip(piece.takes, ran.leaves, strict=True):
            if any(leaf.requires_grad for leaf in leaves):
                host.write_gradients(machine, item.layer, leaves)


def _copied(value: Any) -> Any:
    """Return a copy of an input, which a part may write over."""
    return value.detach().clone() if isinstance(value, Tensor) else value
