"""Example inputs: made from a shape, and cut or repeated to any number of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from splitopt.errors import InputError

Inputs = tuple[Tensor, ...]
MOST_NUMBERS = 2**28
"""Of a batch that is made: 1 GiB in float32, a hundred images of a megapixel in colours."""


def inputs_of(example: Any) -> Inputs:
    """Return one tensor or several as the arguments of a module; the first axis is the batch."""
    given = tuple(example) if isinstance(example, tuple | list) else (example,)
    if not given:
        raise InputError.at("example", "is empty; give a tensor, or a tuple of tensors")
    for item in given:
        if not isinstance(item, Tensor):
            raise InputError.at(
                "example", f"must be a tensor or a tuple of tensors, found {type(item).__name__}"
            )
        if item.ndim == 0 or item.shape[0] == 0:
            raise InputError.at(
                "example",
                f"has the shape {tuple(item.shape)}; the first axis must be a batch of samples",
            )
    return given


def made(
    shape: Sequence[int], dtype: str = "float32", samples: int = 2, device: str = "cpu"
) -> Tensor:
    """Draw a batch of a shape: normal numbers, or 0 and 1 where the type is of integers.

    Parameters
    ----------
    shape
        The shape of one sample.
    dtype
        The name of a torch type, such as ``float32`` or ``int64`` for token ids.
    samples
        The size of the batch.
    device
        Where it is made.
    """
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype):
        raise InputError.at("input dtype", f"{dtype!r} is unknown; use float32 or int64 (tokens)")
    size = (samples, *shape)
    if math.prod(size) > MOST_NUMBERS:
        raise InputError.at(
            "input shape",
            f"a batch of {samples} has {math.prod(size):.3g} numbers, at most {MOST_NUMBERS:,} are "
            "made; give the shape of one sample",
        )
    generator = None if device == "meta" else torch.Generator(device).manual_seed(0)
    if kind.is_floating_point:
        return torch.randn(size, dtype=kind, device=device, generator=generator)
    return torch.randint(0, 2, size, dtype=kind, device=device, generator=generator)


def resized(inputs: Inputs, samples: int) -> Inputs:
    """Repeat or drop samples so that every input is a batch of that many."""

    def fit(item: Tensor) -> Tensor:
        times = -(-samples // item.shape[0])
        return torch.cat([item] * times)[:samples]

    return tuple(fit(item.detach()) for item in inputs)


def fresh(inputs: Inputs) -> Inputs:
    """Copy a batch, so that a module that works in place does not write over it."""
    return tuple(item.detach().clone() for item in inputs)


def tensors_in(value: Any) -> list[Tensor]:
    """List the tensors of what a module returns: a tensor, or containers of some."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []
