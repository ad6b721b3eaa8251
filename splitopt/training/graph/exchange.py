"""The host's memory, through which machines exchange outputs and gradients, and what crosses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Traffic:
    """Bytes that a machine has written to the host and read from it, both passes together.

    ``output_bytes`` is what of them were outputs, written or read; the rest were gradients.
    """

    sent_bytes: int = 0
    received_bytes: int = 0
    output_bytes: int = 0

    @property
    def gradient_bytes(self) -> int:
        """Bytes of gradients, written or read."""
        return self.sent_bytes + self.received_bytes - self.output_bytes


@dataclass
class Host:
    """What machines have written for a micro-batch.

    Parameters
    ----------
    traffic
        By the number of the machine; what crosses is added there.
    """

    traffic: dict[int, Traffic]
    _outputs: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)
    _gradients: dict[int, list[Tensor]] = field(default_factory=dict)

    def write(self, machine: int, layer: int, tensors: Sequence[Tensor]) -> None:
        """Write the output of a layer."""
        self.traffic[machine].sent_bytes += size_of(tensors)
        self.traffic[machine].output_bytes += size_of(tensors)
        self._outputs[layer] = tuple(tensors)

    def read(self, machine: int, layer: int) -> list[Tensor]:
        """Return the output of a layer as leaves, which have a gradient where it has one."""
        found = self._outputs[layer]
        self.traffic[machine].received_bytes += size_of(found)
        self.traffic[machine].output_bytes += size_of(found)
        return [item.detach().clone().requires_grad_(item.requires_grad) for item in found]

    def write_gradients(self, machine: int, layer: int, leaves: Sequence[Tensor]) -> None:
        """Add the gradients of a machine's leaves to those of the others for the same layer."""
        own = [
            torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            for leaf in leaves
            if leaf.requires_grad
        ]
        self.traffic[machine].sent_bytes += size_of(own)
        there = self._gradients.get(layer)
        pairs = own if there is None else [a + b for a, b in zip(there, own, strict=True)]
        self._gradients[layer] = pairs

    def read_gradients(self, machine: int, layer: int) -> list[Tensor]:
        """Return the summed gradients of the output of a layer, of those tensors that have one."""
        found = self._gradients[layer]
        self.traffic[machine].received_bytes += size_of(found)
        return found


def size_of(tensors: Sequence[Tensor]) -> int:
    """Return the bytes of some tensors."""
    return sum(item.numel() * item.element_size() for item in tensors)
