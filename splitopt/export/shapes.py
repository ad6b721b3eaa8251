"""What crosses the cuts: shapes in which the sides that grow with the batch are marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from splitopt.profiles.tracing.cuts.finding import FEW, MANY
from splitopt.profiles.tracing.cuts.packing import Section
from splitopt.profiles.tracing.running.example import Inputs, fresh, resized
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.profiles.tracing.split import SplitModel

Shape = dict[str, Any]
"""``shape``: whole numbers, and ``"B"`` or ``"3B"`` for sides of one or three times the batch;
``dtype``: the name of a torch type."""


def shapes_at(
    split: SplitModel, cuts: Sequence[str], inputs: Inputs
) -> dict[str | None, Shape | None]:
    """Return the shape of what crosses each cut, and of the output (None), if it is a tensor."""
    runs = [_values(split, cuts, resized(inputs, samples)) for samples in (FEW, MANY)]
    return {
        name: shape_of(one, two) if isinstance(one, Tensor) else None
        for name, one, two in zip((*cuts, None), *runs, strict=True)
    }


def shape_of(one: Tensor, two: Tensor) -> Shape:
    """Return the shape of a value, seen for batches of two sizes.

    The same tensor twice is an input, whose first side is the batch.
    """
    if one is two:
        sides: list[int | str] = ["B", *one.shape[1:]]
    else:
        sides = [
            a if a == b else f"{a // FEW if a != FEW else ''}B"
            for a, b in zip(one.shape, two.shape, strict=True)
        ]
    return {"shape": sides, "dtype": str(one.dtype).removeprefix("torch.")}


def section_shape(section: Section) -> Shape:
    """Return the shape of one of several tensors that cross a cut."""
    sides: list[int | str] = [*section.sides]
    sides.insert(section.axis, "B" if section.times == 1 else f"{section.times}B")
    return {"shape": sides, "dtype": str(section.dtype).removeprefix("torch.")}


def _values(split: SplitModel, cuts: Sequence[str], inputs: Inputs) -> list[Any]:
    found = []
    value: Any = fresh(inputs)
    with undisturbed(split.module), torch.no_grad():
        split.module.train()
        for part in split.segments(cuts):
            value = part(*value) if isinstance(value, tuple) else part(value)
            found.append(value)
    return found
