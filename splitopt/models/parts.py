"""Small layers that several networks share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from splitopt.errors import InputError


class ConvReLU(nn.Module):
    """A convolution and ReLU as one layer, which is not cut inside."""

    def __init__(self, channels: int, width: int, kernel: int, padding: int | None = None) -> None:
        super().__init__()
        border = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(channels, width, kernel, padding=border)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, width, H, W)."""
        out: Tensor = self.relu(self.conv(x))
        return out


class Dense(nn.Module):
    """A linear layer on all values of a sample, with ReLU or without."""

    def __init__(self, features: int, width: int, *, relu: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(features, width)
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, ...) with `features` values per sample to (B, width)."""
        out: Tensor = self.relu(self.linear(x.flatten(1)))
        return out


def halved(side: int, times: int) -> int:
    """Return the side of an image after some poolings that halve it, rounding down."""
    return side >> times


def expect_side(shape: Sequence[int], halvings: int, name: str) -> None:
    """Raise `InputError` if an image is too small to be halved that often."""
    if min(shape[1:]) < 2**halvings:
        raise InputError.at(
            "input shape",
            f"{','.join(map(str, shape))} is too small for {name}: its height and width must be "
            f"at least {2**halvings}",
        )


def initialise(module: nn.Module) -> None:
    """Draw the weights as He et al. (2015) do for ReLU; biases are zero, normalisations one."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 1.0 / math.sqrt(layer.in_features))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
