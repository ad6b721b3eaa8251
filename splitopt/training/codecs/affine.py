"""Whole numbers of 8 or 4 bits with a scale and a zero point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.training.codecs.base import Codec, Layout, working_dtype
from splitopt.training.codecs.packing import pack_pairs, unpack_pairs

_WORDS = {"channel": "by_channel", "stochastic": "stochastic"}
"""What may stand behind a colon -> the field that it sets."""


@dataclass(frozen=True)
class Affine(Codec):
    """x' = s (q - z) with levels q and a zero point z in 0..Q (Jacob et al. 2018, Eq. 1).

    Q is 2^bits - 1. With lo = min(0, smallest) and hi = max(0, largest) of the values that share a
    scale, z is one of the two whole numbers beside -lo Q / (hi - lo), and s the least scale with
    s z >= -lo and s (Q - z) >= hi; of the two that with the smaller s is taken. So zero is exact,
    as it is by Jacob et al., and no value is outside of the levels, as some are there.

    The two scales are at most (1 + (1 - t) / (Q - f - 1)) and (1 + t / f) times (hi - lo) / Q,
    for f + t = -lo Q / (hi - lo) with a whole f; one of them is at most Q / (Q - 1) times that:

    ``s <= (hi - lo) / (Q - 1)``

    A value x comes back as x' with ``|x - x'| <= s / 2`` when rounded to the nearest level, and
    with less than s, and the expected value x, when rounded at random (floor(x / s + u) with u
    uniform in [0, 1); Gupta et al. 2015, arXiv:1502.02551, section 3.1).
    Rounding of the arithmetic adds some units in the last place of hi - lo, and a scale that
    underflows to 0 makes every value 0.

    Parameters
    ----------
    by_channel
        A scale and a zero point for each index of the second dimension, where there is one.
    stochastic
        Round at random.
    """

    by_channel: bool = False
    stochastic: bool = False
    top: ClassVar[int]
    """Q, the highest level."""

    @classmethod
    def read(cls, arguments: Sequence[str]) -> Affine:
        """Make one of the words ``channel`` and ``stochastic``, in any order."""
        for word in arguments:
            if word not in _WORDS:
                raise InputError(
                    f"{cls.name} takes ':channel' and ':stochastic', not {shown(word)}"
                    f"{did_you_mean(word, _WORDS)}"
                )
        return cls(**{_WORDS[word]: True for word in arguments})

    def layout(self, shape: Sequence[int], dtype: torch.dtype) -> Layout:
        """Return the levels, and a scale and a zero point for the tensor or for each channel."""
        groups = (_groups(shape, self.by_channel),)
        levels = self._level_bytes(math.prod(shape))
        return {
            "levels": (torch.uint8, (levels,)),
            "scale": (working_dtype(dtype), groups),
            "zero": (torch.uint8, groups),
        }

    def encode(self, tensor: Tensor) -> dict[str, Tensor]:
        """Write the levels of all values."""
        values = tensor.to(working_dtype(tensor.dtype))
        rows = _by_group(values, self.by_channel)
        scale, zero = self._scales(rows)
        # A scale of 0 has only values of 0, or values so small that they become 0.
        steps = rows / torch.where(scale > 0, scale, torch.ones_like(scale))[:, None]
        if self.stochastic:
            steps = torch.floor(steps + torch.rand_like(steps))
        else:
            steps = torch.round(steps)
        # Within 0..Q by the choice of the scale, but for rounding of the arithmetic.
        levels = (steps + zero[:, None]).clamp(0, self.top).to(torch.uint8)
        flat = _from_groups(levels, tensor.shape, self.by_channel).reshape(-1)
        return {"levels": self._pack(flat), "scale": scale, "zero": zero.to(torch.uint8)}

    def decode(
        self, message: Mapping[str, Tensor], shape: Sequence[int], dtype: torch.dtype
    ) -> Tensor:
        """Return s (q - z) for every value."""
        levels = self._unpack(message["levels"], math.prod(shape)).reshape(tuple(shape))
        scale, zero = message["scale"], message["zero"].to(message["scale"].dtype)
        rows = _by_group(levels.to(scale.dtype), self.by_channel)
        found = scale[:, None] * (rows - zero[:, None])
        largest = torch.finfo(dtype).max  # the outermost level may be rounded to beyond it
        return _from_groups(found.clamp(-largest, largest), shape, self.by_channel).to(dtype)

    def error_bound(self, tensor: Tensor) -> Tensor:
        """Return half of the largest scale for each value, all of it where rounding is random.

        Some units in the last place of the largest value are added for the arithmetic.
        """
        rows = _by_group(tensor.to(working_dtype(tensor.dtype)), self.by_channel)
        length = rows.amax(1).clamp(min=0) - rows.amin(1).clamp(max=0)
        scale = length / (self.top - 1)
        each = (1.0 if self.stochastic else 0.5) * scale + 8 * torch.finfo(rows.dtype).eps * length
        spread = each[:, None].expand_as(rows)
        return _from_groups(spread, tensor.shape, self.by_channel)

    def _scales(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return s and z of each group, from its values: shape (groups, values)."""
        top = float(self.top)
        if not rows.numel():
            nothing = rows.new_zeros(len(rows))
            return nothing, nothing
        low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
        # -lo / Q and hi / Q, divided before they are added, so that the sum is finite.
        below, above = -low / top, high / top
        whole = below + above
        place = torch.where(whole > 0, top * (below / whole), torch.zeros_like(whole))
        # A side that has values has a level, however few of the others' length they reach.
        least, most = (low < 0).to(rows.dtype), top - (high > 0).to(rows.dtype)
        candidates = []
        for zero in (place.floor().clamp(least, most), place.ceil().clamp(least, most)):
            # s z >= -lo and s (Q - z) >= hi
            left = torch.where(low < 0, -low / zero, torch.zeros_like(low))
            right = torch.where(high > 0, high / (top - zero), torch.zeros_like(high))
            candidates.append((torch.maximum(left, right), zero))
        (first, floor), (second, ceil) = candidates
        is_first = first <= second
        return torch.where(is_first, first, second), torch.where(is_first, floor, ceil)

    def _level_bytes(self, count: int) -> int:
        return count

    def _pack(self, levels: Tensor) -> Tensor:
        return levels

    def _unpack(self, packed: Tensor, count: int) -> Tensor:  # noqa: ARG002
        return packed


@dataclass(frozen=True)
class Int8(Affine):
    """256 levels; ``|x - x'| <= (hi - lo) / 508`` to the nearest. See `Affine`."""

    name = "int8"
    top = 255


@dataclass(frozen=True)
class Int4(Affine):
    """16 levels, two to a byte; ``|x - x'| <= (hi - lo) / 28`` to the nearest. See `Affine`."""

    name = "int4"
    top = 15

    def _level_bytes(self, count: int) -> int:
        return -(-count // 2)

    def _pack(self, levels: Tensor) -> Tensor:
        return pack_pairs(levels)

    def _unpack(self, packed: Tensor, count: int) -> Tensor:
        return unpack_pairs(packed, count)


def _groups(shape: Sequence[int], by_channel: bool) -> int:
    """Return how many scales a tensor of this shape has."""
    return shape[1] if by_channel and len(shape) > 1 else 1


def _by_group(tensor: Tensor, by_channel: bool) -> Tensor:
    """Return the values as (groups, values)."""
    if by_channel and tensor.dim() > 1:
        moved = tensor.transpose(0, 1)
        return moved.reshape(len(moved), math.prod(moved.shape[1:]))
    return tensor.reshape(1, -1)


def _from_groups(rows: Tensor, shape: Sequence[int], by_channel: bool) -> Tensor:
    """Return the tensor of a shape that `_by_group` took apart."""
    if by_channel and len(shape) > 1:
        moved = rows.reshape(shape[1], shape[0], *shape[2:])
        return moved.transpose(0, 1).contiguous()
    return rows.reshape(tuple(shape))
