"""Floating-point numbers of 16 bits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from splitopt.training.codecs.base import Codec, Layout, no_arguments


class _Half(Codec):
    """Every value rounded to a type of 16 bits, to the nearest, ties to even."""

    kind: ClassVar[torch.dtype]
    relative: ClassVar[float]
    """Half a unit in the last place of 1: what rounding to the nearest may add to a value."""
    smallest: ClassVar[float]
    """Half of the smallest number above 0."""

    @classmethod
    def read(cls, arguments: Sequence[str]) -> _Half:
        """Make one; it takes no arguments."""
        no_arguments(cls.name, arguments)
        return cls()

    def layout(self, shape: Sequence[int], dtype: torch.dtype) -> Layout:  # noqa: ARG002
        """Return two bytes a value."""
        return {"values": (self.kind, (math.prod(shape),))}

    def encode(self, tensor: Tensor) -> dict[str, Tensor]:
        """Round every value."""
        return {"values": tensor.reshape(-1).to(self.kind)}

    def decode(
        self, message: Mapping[str, Tensor], shape: Sequence[int], dtype: torch.dtype
    ) -> Tensor:
        """Return the rounded values, which every wider type has exactly."""
        return message["values"].to(dtype).reshape(tuple(shape))

    def error_bound(self, tensor: Tensor) -> Tensor:
        """Return the bound of the class for each value."""
        by_way = 2.0**-24 if tensor.dtype == torch.float64 else 0.0
        return (self.relative + by_way) * tensor.abs() + self.smallest

    def largest(self, dtype: torch.dtype) -> float:  # noqa: ARG002
        """Return the largest value of the type; above it there is only infinity."""
        return torch.finfo(self.kind).max


class Fp16(_Half):
    """Half precision (IEEE 754-2019 binary16): 11 significant bits, up to 65504.

    A value x comes back as x' with ``|x - x'| <= 2^-11 |x|`` from 2^-14 on (half a unit in the last
    of 11 places), and with an error of at most 2^-25 below (half of the smallest subnormal number,
    2^-24). From float64 it is rounded by way of float32, which adds at most ``2^-24 |x|``. What is
    representable is exact.
    """

    name = "fp16"
    kind = torch.float16
    relative, smallest = 2.0**-11, 2.0**-25


class Bf16(_Half):
    """Bfloat16 (Kalamkar et al. 2019, arXiv:1905.12322): 8 significant bits, the range of float32.

    A value x comes back as x' with ``|x - x'| <= 2^-8 |x|`` from 2^-126 on, and with an error of at
    most 2^-134 below; from float64 at most ``2^-24 |x|`` more. What is representable is exact.
    """

    name = "bf16"
    kind = torch.bfloat16
    relative, smallest = 2.0**-8, 2.0**-134
