"""By how much a layer can stretch the distance of two inputs: what is known, with its reason.

A layer that is not in these tables has no known bound and is refused where it stands before the
noise; so are normalisations, whose stretch grows without limit as their inputs become alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from splitopt.training.privacy.pixel.operators import Bound, Norm

LINEAR: frozenset[type[nn.Module]] = frozenset(
    {
        nn.Linear,
        nn.Conv1d,
        nn.Conv2d,
        nn.Conv3d,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.ConvTranspose3d,
        nn.AvgPool1d,
        nn.AvgPool2d,
        nn.AvgPool3d,
        nn.AdaptiveAvgPool1d,
        nn.AdaptiveAvgPool2d,
        nn.AdaptiveAvgPool3d,
    }
)
"""Layers that are linear but for a bias. Of a pooling without overlap the L2 norm is 1/k: means."""

_GELU = 0.5 * (1 + math.erf(1.0)) + math.exp(-1) / math.sqrt(math.pi)
"""The steepest slope of x Phi(x), at sqrt(2), where its second derivative phi (2 - x^2) is 0."""
_SILU = 1.0999
"""Above the steepest slope of x sigmoid(x), 1.09984 at 2.3994."""


def _one(_: Any, __: Norm) -> Bound:
    return Bound(1.0, "values by themselves, slope at most 1")


def _same(_: Any, __: Norm) -> Bound:
    return Bound(1.0, "values stay as they are")


def _dropout(layer: Any, _: Norm) -> Bound:
    rate = float(layer.p)
    return Bound(1 / (1 - rate) if rate < 1 else 1.0, "values dropped or scaled by 1/(1 - p)")


def _leaky(layer: Any, _: Norm) -> Bound:
    return Bound(max(1.0, abs(layer.negative_slope)), "values by themselves, two slopes")


def _elu(layer: Any, _: Norm) -> Bound:
    return Bound(max(1.0, abs(layer.alpha)), "values by themselves, slope at most max(1, alpha)")


def _hardtanh(_: Any, __: Norm) -> Bound:
    return Bound(1.0, "values by themselves, clamped")


def _max_pool(axes: int) -> Callable[[Any, Norm], Bound]:
    """Bound a pooling by maxima: an output moves no further than its window does.

    So the squares (or absolute values) of the moves of all outputs add up to those of all windows,
    and every input is in at most m windows: the factor is sqrt(m) in L2 and m in L1. Without
    overlap m is 1.
    """

    def bound(layer: Any, norm: Norm) -> Bound:
        kernel, stride, dilation = (
            _each(value, axes)
            for value in (layer.kernel_size, layer.stride or layer.kernel_size, layer.dilation)
        )
        most = math.prod(
            math.ceil(k / (s // math.gcd(s, d)))
            for k, s, d in zip(kernel, stride, dilation, strict=True)
        )
        value = math.sqrt(most) if norm == "l2" else float(most)
        return Bound(value, f"maxima, an input in {most} window{'s' if most > 1 else ''} at most")

    return bound


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (int(value),) * axes


KNOWN: Mapping[type[nn.Module], Callable[[Any, Norm], Bound]] = {
    nn.ReLU: _one,
    nn.Tanh: _one,
    nn.Softplus: _one,
    nn.Softsign: _one,
    nn.ReLU6: _hardtanh,
    nn.Hardtanh: _hardtanh,
    nn.Sigmoid: lambda *_: Bound(0.25, "values by themselves, slope at most 1/4"),
    nn.GELU: lambda *_: Bound(_GELU, "values by themselves, slope at most 1.13"),
    nn.SiLU: lambda *_: Bound(_SILU, "values by themselves, slope at most 1.1"),
    nn.LeakyReLU: _leaky,
    nn.ELU: _elu,
    nn.Identity: _same,
    nn.Flatten: _same,
    nn.Unflatten: _same,
    nn.Dropout: _dropout,
    nn.Dropout1d: _dropout,
    nn.Dropout2d: _dropout,
    nn.Dropout3d: _dropout,
    nn.MaxPool1d: _max_pool(1),
    nn.MaxPool2d: _max_pool(2),
    nn.MaxPool3d: _max_pool(3),
}
"""Layers of known stretch, exactly of these types: a subclass may do something else."""

AS_LAYERS: Mapping[Any, Callable[..., nn.Module]] = {
    torch.relu: lambda *_, **__: nn.ReLU(),
    functional.relu: lambda *_, **__: nn.ReLU(),
    torch.tanh: nn.Tanh,
    functional.tanh: nn.Tanh,
    torch.sigmoid: nn.Sigmoid,
    functional.leaky_relu: lambda slope=0.01, *_, negative_slope=None, **__: nn.LeakyReLU(
        slope if negative_slope is None else negative_slope
    ),
    torch.flatten: nn.Flatten,
    functional.max_pool1d: nn.MaxPool1d,
    functional.max_pool2d: nn.MaxPool2d,
    functional.max_pool3d: nn.MaxPool3d,
    functional.avg_pool1d: nn.AvgPool1d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.avg_pool3d: nn.AvgPool3d,
    functional.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    functional.adaptive_avg_pool3d: nn.AdaptiveAvgPool3d,
}
"""Functions of a tensor -> the layer that does the same, made of their other arguments."""

METHODS: Mapping[str, Callable[..., nn.Module]] = {
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    **dict.fromkeys(
        ("flatten", "view", "reshape", "contiguous", "clone", "unsqueeze", "squeeze", "permute"),
        lambda *_, **__: nn.Identity(),
    ),
}
"""Methods of a tensor -> the layer that does the same; those that move values change no norm."""


def is_known(module: nn.Module) -> bool:
    """Report whether there is a bound of a layer."""
    return type(module) in LINEAR or type(module) in KNOWN
