"""Outputs and targets of several batches in one, also where their samples are of unequal length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from splitopt.errors import TrainingError
from splitopt.training.tasks.targets import IGNORED


def joined(results: Sequence[Tensor], targets: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return outputs and targets of several batches as those of one.

    Batches that are shorter than the longest get outputs 0 and targets `IGNORED` behind their
    last position, which count for nothing in a mean over positions.

    Parameters
    ----------
    results, targets
        Of each batch, shapes (samples, ...), which differ in sizes behind the first at most.

    Raises
    ------
    TrainingError
        Outputs are of unequal length, and targets are not, or are no whole numbers.
    """
    if len({own.shape[1:] for own in results}) > 1:
        along = len({own.shape[1:] for own in targets}) > 1
        if not along or any(own.is_floating_point() for own in targets):
            raise TrainingError(
                "outputs of unequal length need a label for each position, which can say that "
                "there is none; leave padding out"
            )
    return torch.cat(_alike(results, 0)), torch.cat(_alike(targets, IGNORED))


def _alike(tensors: Sequence[Tensor], fill: int) -> list[Tensor]:
    """Return tensors with a value behind those that are shorter than the largest, side by side."""
    largest = [max(sizes) for sizes in zip(*(own.shape[1:] for own in tensors), strict=True)]
    found = []
    for own in tensors:
        room = [most - size for most, size in zip(largest, own.shape[1:], strict=True)]
        behind = [count for more in reversed(room) for count in (0, more)]
        found.append(pad(own, behind, value=fill) if any(room) else own)
    return found
