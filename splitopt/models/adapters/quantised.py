"""Frozen linear layers whose weights are held in 8 or 4 bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class QuantisedLinear(nn.Module):
    """A frozen linear layer with weights in 8 or 4 bits and a scale for each output.

    Symmetric: a row of the weight is ``scale * q`` with whole q from -127 to 127, or from -7 to 7.
    The weight is made of these in the forward pass and again in the backward pass, so that it is
    there for one layer at a time only, and autograd keeps nothing of it.

    Parameters
    ----------
    layer
        The layer; its weight of shape (outputs, inputs) is rounded to the nearest q.
    bits
        8: ``weight`` is int8 of the same shape; 4: uint8 of half the columns, rounded up.
    """

    def __init__(self, layer: nn.Linear, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.in_features, self.out_features = layer.in_features, layer.out_features
        held, scale = quantised(layer.weight.detach(), bits)
        self.weight = nn.Parameter(held, requires_grad=False)
        self.scale = nn.Parameter(scale, requires_grad=False)
        bias = layer.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        out: Tensor = _Product.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.scale, self.bits, self.in_features
        )
        return out if self.bias is None else out + self.bias

    def dequantised(self) -> nn.Linear:
        """Return the layer with the weight that it computes with."""
        made = blank(self.in_features, self.out_features, self.scale, bias=self.bias is not None)
        with torch.no_grad():
            made.weight.copy_(dequantised(self.weight, self.scale, self.bits, self.in_features))
            if self.bias is not None:
                made.bias.copy_(self.bias)
        made.requires_grad_(False)
        return made

    def extra_repr(self) -> str:
        """Return sizes and bits."""
        return f"{self.in_features}, {self.out_features}, bits={self.bits}"


def blank(inputs: int, outputs: int, like: Tensor, *, bias: bool = False) -> nn.Linear:
    """Make a linear layer of the type and on the device of a tensor; its numbers are not set."""
    made: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, inputs, outputs, bias=bias, device=like.device, dtype=like.dtype
    )
    return made


def quantised(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return whole numbers for a matrix, in bytes, and the scale of each row."""
    largest = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(dim=1) / largest
    steps = torch.where(scale > 0, scale, torch.ones_like(scale))
    whole = (weight / steps[:, None]).round().clamp(-largest, largest).to(torch.int8)
    if bits == 8:
        return whole, scale
    nibbles = functional.pad(whole + 8, (0, whole.shape[1] % 2)).to(torch.uint8)
    return nibbles[:, ::2] + 16 * nibbles[:, 1::2], scale


def dequantised(held: Tensor, scale: Tensor, bits: int, columns: int) -> Tensor:
    """Return the matrix of whole numbers and scales, in the type of the scales."""
    if bits == 8:
        return held.to(scale.dtype) * scale[:, None]
    pairs = torch.stack([held % 16, held // 16], dim=2).flatten(1)[:, :columns]
    return (pairs.to(scale.dtype) - 8) * scale[:, None]


class _Product(torch.autograd.Function):
    """``x W^T`` with a W that is made when it is needed; it has a gradient for x alone."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, held: Tensor, scale: Tensor, bits: int, columns: int) -> Tensor:
        """Multiply by the transposed weight."""
        return functional.linear(x, dequantised(held, scale, bits, columns))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        """Keep what the weight is made of."""
        _, held, scale, ctx.bits, ctx.columns = inputs
        ctx.save_for_backward(held, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Multiply by the weight."""
        held, scale = ctx.saved_tensors
        weight = dequantised(held, scale, ctx.bits, ctx.columns)
        return gradient @ weight, None, None, None, None
