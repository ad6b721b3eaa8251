"""Arithmetic of network layers: operations, parameters, sizes and what training keeps.

Only shapes are tracked, per sample, in fp32. What counts as work is the count of the common FLOP
counters for PyTorch, the one that DP-MORA's Table 1 was fitted to:

* a convolution or linear layer: its multiply-accumulate operations (MAC), the bias is free;
* batch normalisation: 2 per element; ReLU: 1 per element; max pooling: 1 per input element;
* average pooling, dropout and the residual addition: nothing.

What is kept from the forward to the backward pass are the tensors that PyTorch's autograd saves,
each storage once, with ReLU in place: the inputs of convolutions, linear layers, normalisations
and poolings, the outputs of ReLU, the int64 indices of max pooling and the mask of dropout. An
average pooling to one value per channel is a mean, which saves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

FP32_BYTES = 4
INT64_BYTES = 8


@dataclass
class Tensor:
    """The shape of one activation, and whether autograd keeps its storage already."""

    channels: int
    height: int
    width: int
    kept: bool = False

    @property
    def elements(self) -> int:
        """Values per sample."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class Unit:
    """A part of a network that is not cut further; counts are per sample and forward.

    Parameters
    ----------
    macs
        Multiply-accumulate operations of convolutions and linear layers.
    elementwise
        Operations of normalisation, ReLU and max pooling.
    parameters, statistics
        Trained values, and running statistics of batch normalisation.
    output_elements
        Values that leave the unit: the smashed data of a cut behind it.
    kept_bytes
        What the unit adds to the memory kept for the backward pass, behind the units before it:
        an input that one of them keeps already is not counted again.
    saved_bytes
        What the unit keeps by itself, its input included: the first unit of a run on a machine of
        its own holds a copy of what the unit before it keeps elsewhere.
    """

    name: str
    macs: int
    elementwise: int
    parameters: int
    statistics: int
    output_elements: int
    kept_bytes: int
    saved_bytes: int

    @property
    def operations(self) -> int:
        """The work of the unit, in MAC."""
        return self.macs + self.elementwise


class Ledger:
    """Counts of the unit that is being built; every method applies one layer to a shape."""

    def __init__(self) -> None:
        self.macs = self.elementwise = self.parameters = self.statistics = self.kept_bytes = 0
        self.saved_bytes = 0
        self._saved: list[Tensor] = []

    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel: int,
        stride: int = 1,
        *,
        bias: bool = False,
        padding: int | None = None,
    ) -> Tensor:
        """Apply a square convolution; by default padded so that stride 1 keeps the size."""
        self._keep(x)
        border = kernel // 2 if padding is None else padding
        height, width = _windows(x, kernel, stride, border)
        weights = x.channels * channels * kernel**2
        self.macs += weights * height * width
        self.parameters += weights + (channels if bias else 0)
        return Tensor(channels, height, width)

    def transposed_conv(
        self, x: Tensor, channels: int, kernel: int, stride: int = 1, *, bias: bool = True
    ) -> Tensor:
        """Apply a square transposed convolution without padding: (n - 1) stride + kernel values.

        Every value of the input meets every weight of its channel once.
        """
        self._keep(x)
        weights = x.channels * channels * kernel**2
        self.macs += weights * x.height * x.width
        self.parameters += weights + (channels if bias else 0)
        height, width = ((size - 1) * stride + kernel for size in (x.height, x.width))
        return Tensor(channels, height, width)

    def linear(self, x: Tensor, features: int) -> Tensor:
        """Flatten and apply a linear layer with bias."""
        self._keep(x)
        self.macs += x.elements * features
        self.parameters += (x.elements + 1) * features
        return Tensor(features, 1, 1)

    def batch_norm(self, x: Tensor) -> Tensor:
        """Apply batch normalisation with scale and shift."""
        self._keep(x)
        self.elementwise += 2 * x.elements
        self.parameters += 2 * x.channels
        self.statistics += 2 * x.channels
        return Tensor(x.channels, x.height, x.width)

    def relu(self, x: Tensor) -> Tensor:
        """Apply ReLU in place; the result is kept."""
        self.elementwise += x.elements
        self._keep(x)
        return x

    def max_pool(self, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
        """Apply max pooling, which keeps its input and the index of every maximum."""
        self._keep(x)
        self.elementwise += x.elements
        result = Tensor(x.channels, *_windows(x, kernel, stride, padding))
        self._keep_new(INT64_BYTES * result.elements)
        return result

    def average_pool(self, x: Tensor, side: int) -> Tensor:
        """Apply adaptive average pooling to `side` x `side` values per channel."""
        if side > 1:
            self._keep(x)
        return Tensor(x.channels, side, side)

    def dropout(self, x: Tensor) -> Tensor:
        """Apply dropout, which keeps its scaled mask."""
        self._keep_new(FP32_BYTES * x.elements)
        return Tensor(x.channels, x.height, x.width)

    def close(self, name: str, output: Tensor) -> Unit:
        """Name what was counted since the ledger was made."""
        return Unit(
            name=name,
            macs=self.macs,
            elementwise=self.elementwise,
            parameters=self.parameters,
            statistics=self.statistics,
            output_elements=output.elements,
            kept_bytes=self.kept_bytes,
            saved_bytes=self.saved_bytes,
        )

    def _keep(self, x: Tensor) -> None:
        """Count the storage of `x` as kept, unless it is already."""
        size = FP32_BYTES * x.elements
        if not x.kept:
            self.kept_bytes += size
            x.kept = True
        if not any(x is other for other in self._saved):
            self.saved_bytes += size
            self._saved.append(x)

    def _keep_new(self, size: int) -> None:
        """Count a tensor that no other layer sees, such as the indices of a pooling."""
        self.kept_bytes += size
        self.saved_bytes += size


def _windows(x: Tensor, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Count the positions of a square window down and across the padded input."""
    down, across = ((size + 2 * padding - kernel) // stride + 1 for size in (x.height, x.width))
    return down, across
