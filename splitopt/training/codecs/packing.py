"""Levels of four bits, two to a byte."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def pack_pairs(levels: Tensor) -> Tensor:
    """Write levels from 0 to 15, shape (n,) of uint8, into ceil(n / 2) bytes, the first one low."""
    pairs = pad(levels, (0, levels.numel() % 2)).reshape(-1, 2)
    return pairs[:, 0] | (pairs[:, 1] << 4)


def unpack_pairs(packed: Tensor, count: int) -> Tensor:
    """Return the `count` levels that `pack_pairs` wrote."""
    return torch.stack([packed & 15, packed >> 4], dim=1).reshape(-1)[:count]
