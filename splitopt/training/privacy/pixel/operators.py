"""Proved upper bounds of the operator norms of linear layers.

Power iteration approaches a norm from below and certifies nothing; so none is used here. Everything
is computed in float64 and multiplied by `MARGIN`, which is far above the rounding of these sums and
singular value decompositions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

Norm = Literal["l1", "l2"]
Map = Callable[[Tensor], Tensor]
MARGIN = 1 + 1e-9
MOST_ENTRIES = 2**22
MOST_SIDE = 512
"""Of a matrix whose singular values are computed, and of its shorter side; others are bounded."""
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Bound:
    """A norm that is not exceeded, and by what it is known."""

    value: float
    how: str


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear map of samples, without its bias.

    Parameters
    ----------
    apply
        The map itself of samples, shape (n, ...) each, in float64.
    absolute
        A map whose entries are those of ``apply`` without their signs, or larger.
    shape
        Of a sample that goes in.
    symbol
        The matrices of a convolution over all frequencies, shape (frequencies, groups, out, in);
        None for what is no convolution that pads with zeros.
    """

    apply: Map
    absolute: Map
    shape: tuple[int, ...]
    symbol: Callable[[], Tensor] | None = None


def linear_of(module: nn.Module, shape: Sequence[int]) -> Linear:
    """Return the linear map of a layer whose output is linear in its input but for its bias."""
    size = tuple(shape)
    weights = {name: value.detach().double() for name, value in module.named_parameters()}
    for name in weights:
        if name.endswith("bias"):
            weights[name] = torch.zeros_like(weights[name])
    bare = {name: value.abs() for name, value in weights.items()}
    return Linear(
        lambda x: functional_call(module, weights, (x,)),
        lambda x: functional_call(module, bare, (x,)),
        size,
        _symbol_of(module, size),
    )


def norm_of(linear: Linear, norm: Norm, where: torch.device | None = None) -> Bound:
    """Bound the operator norm of a linear map from L1 to L1 or from L2 to L2.

    L1: the largest sum of absolute values of a column; exactly, but where a padding other than
    zeros adds an input to a sum twice. L2: the largest singular value, of the matrix itself if that
    is small; or the least of two bounds, that of the circular convolution in which it lies (see
    `fourier_bound`) and the root of the largest column sum times the largest row sum.
    """
    with torch.no_grad():
        columns = column_sums(linear, where)
        if norm == "l1":
            return Bound(MARGIN * float(columns.max()), "largest column sum")
        rows = linear.absolute(torch.ones((1, *linear.shape), dtype=torch.float64, device=where))
        sides = columns.numel(), rows.numel()
        if math.prod(sides) <= MOST_ENTRIES and min(sides) <= MOST_SIDE:
            return Bound(MARGIN * largest_singular(matrix_of(linear, where)), "singular values")
        mixed = math.sqrt(float(columns.max()) * float(rows.max()))
        found = [Bound(MARGIN * mixed, "row and column sums")]
        if linear.symbol is not None:
            found.append(Bound(MARGIN * fourier_bound(linear.symbol()), "Fourier bound"))
    return min(found, key=lambda bound: bound.value)


def matrix_of(linear: Linear, where: torch.device | None = None) -> Tensor:
    """Return the matrix of a linear map, shape (values out, values in), from unit vectors."""
    count = math.prod(linear.shape)
    units = torch.eye(count, dtype=torch.float64, device=where).reshape(count, *linear.shape)
    return linear.apply(units).reshape(count, -1).T


def largest_singular(matrix: Tensor) -> float:
    """Return the largest singular value: the root of the largest eigenvalue of A^T A or A A^T.

    Rounding moves that eigenvalue by a few units of float64 relative to itself.
    """
    rows, columns = matrix.shape
    square = matrix @ matrix.T if rows < columns else matrix.T @ matrix
    return math.sqrt(max(0.0, float(torch.linalg.eigvalsh(square)[-1])))


def column_sums(linear: Linear, where: torch.device | None = None) -> Tensor:
    """Return the sum of the absolute values of each column, in the shape of a sample.

    The gradient of the sum of all outputs of the map without signs.
    """
    with torch.enable_grad():
        ones = torch.ones((1, *linear.shape), dtype=torch.float64, device=where, requires_grad=True)
        (found,) = torch.autograd.grad(linear.absolute(ones).sum(), ones)
    return found[0]


def fourier_bound(symbol: Tensor) -> float:
    """Return the largest singular value of a circular convolution.

    A convolution of n values with a kernel that spans k, padded with zeros, is a circular one of
    n + k - 1 values between two maps whose norm is 1: the sample is embedded among zeros, and of
    the result some places are kept, whatever padding and stride. So the norm of the circular
    convolution, which the Fourier transform makes block diagonal, is not exceeded (Sedghi, Gupta
    and Long 2019, for the circular one).
    """
    return float(torch.linalg.matrix_norm(symbol, 2).max())


def _symbol_of(module: nn.Module, shape: tuple[int, ...]) -> Callable[[], Tensor] | None:
    if type(module) not in _CONVOLUTIONS or getattr(module, "padding_mode", "") != "zeros":
        return None
    assert isinstance(module, _CONVOLUTIONS)
    sides = shape[-len(module.kernel_size) :]

    def symbol() -> Tensor:
        weight = module.weight.detach().double()
        spans = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        size = [side + span for side, span in zip(sides, spans, strict=True)]
        spread = weight.new_zeros((*weight.shape[:2], *(span + 1 for span in spans)))
        steps = (slice(None, None, step) for step in module.dilation)
        spread[(slice(None), slice(None), *steps)] = weight
        axes = tuple(range(2, weight.dim()))
        waves = torch.fft.rfftn(spread, s=size, dim=axes).flatten(2)
        outs, ins, count = waves.shape
        grouped = waves.reshape(module.groups, outs // module.groups, ins, count)
        found: Tensor = grouped.permute(3, 0, 1, 2)
        return found

    return symbol
