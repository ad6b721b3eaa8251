"""The parts of a graph in one process: forward in the order of the data, backward against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from splitopt.profiles.tracing.layers import GraphLayers, GraphPiece
from splitopt.training.graph.exchange import Host, Traffic

Root = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""From what the model returns to where the backward pass begins, and the gradient there."""


class _Ran(NamedTuple):
    """What a part took and gave: leaves and tensors, by layer."""

    leaves: list[list[Tensor]]
    given: list[list[Tensor]]


@dataclass(frozen=True, eq=False)
class GraphPipeline:
    """The parts of a graph on their machines.

    Parameters
    ----------
    pieces
        Machine -> its part, in an order in which every part finds what it takes.
    traffic
        Machine -> what it has exchanged with the host since the beginning.
    """

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
        return cls(pieces, {machine: Traffic() for machine in pieces})

    def train(self, inputs: Sequence[Any], root: Root) -> Tensor:
        """Run both passes of a micro-batch, which adds to the gradients of the parameters.

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
        result: Tensor | None = None
        start: tuple[Tensor, Tensor | None] | None = None
        for machine, piece in self.pieces.items():
            piece.module.train()
            leaves = [host.read(machine, item.layer) for item in piece.takes]
            # A part may work in place, which a leaf does not bear.
            taken = [leaf.clone() for own in leaves for leaf in own]
            own_inputs = [_copied(inputs[place]) for place in piece.inputs]
            outputs = list(piece.module(*own_inputs, *taken))
            if piece.returns:
                result = outputs.pop()
                start = root(result)
            given = []
            for item in piece.gives:
                given.append(outputs[: item.tensors])
                del outputs[: item.tensors]
                host.write(machine, item.layer, given[-1])
            ran[machine] = _Ran(leaves, given)
        for machine, piece in reversed(self.pieces.items()):
            self._back(host, machine, piece, ran[machine], start if piece.returns else None)
        assert result is not None  # one of the parts returns it
        return result.detach()

    def _back(
        self,
        host: Host,
        machine: int,
        piece: GraphPiece,
        ran: _Ran,
        start: tuple[Tensor, Tensor | None] | None,
    ) -> None:
        """Run the backward pass of a part."""
        roots: list[Tensor] = []
        gradients: list[Tensor | None] = []
        if start is not None and start[0].requires_grad:
            roots.append(start[0])
            gradients.append(start[1])
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
