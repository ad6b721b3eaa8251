"""Padded samples cut to the longest one of their batch.

All samples are kept as long as the longest of the data. A mask says what of them is there, so that
a batch can be cut behind its own longest sample: what is cut off is padding of every sample of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.data.dataset import DataSet
from splitopt.training.data.named import PADDING, Inputs, Named

_AXIS = 1


@dataclass(frozen=True)
class Positions:
    """Which tensors of samples have an entry of axis 1 for each position of a padded sample.

    Parameters
    ----------
    room
        Positions of the longest sample of the data.
    inputs
        The names of such inputs, the mask of padding among them.
    targets
        Whether targets are such.
    beyond
        The target where there is no sample; None where targets are not such, or all are full.
    """

    room: int
    inputs: frozenset[str]
    targets: bool
    beyond: int | None = None

    @classmethod
    def of(cls, data: DataSet) -> Positions:
        """Find them in data with a mask of padding.

        An input has positions if its second side is as long as the mask, and if it holds one and
        the same value wherever the mask is false: cutting it loses that value only. The same goes
        for targets that are whole numbers of one dimension.

        Raises
        ------
        InputError
            The data have no mask, or samples are not at the front of their rows.
        """
        held = data.train_inputs
        if not isinstance(held, Named) or PADDING not in held.tensors:
            raise InputError.at(
                "padding",
                f"is 'batch', and nothing says how long the samples of {data.name} are: they have "
                "one length, or the collate of the task gives no mask; leave it out, or give "
                "samples of unequal length and a mask",
            )
        masks = [own.tensors[PADDING] for own in (data.train_inputs, data.test_inputs)]  # type: ignore[union-attr]
        for mask in masks:
            if (mask[:, 1:] & ~mask[:, :-1]).any():
                raise InputError.at(
                    "padding",
                    f"is 'batch', and the samples of {data.name} do not begin at the first "
                    "position of their rows, so that batches cannot be cut behind the longest; "
                    "let the collate of the task pad behind, or leave it out",
                )
        mask = masks[0]
        named = {name for name, own in held.tensors.items() if _is_along(own, mask)}
        of_targets = data.targets.kind in ("classes", "any") and data.train_targets.dim() == 2
        along = of_targets and _is_along(data.train_targets, mask)
        padded = data.train_targets[~mask] if along else data.train_targets[:0]
        beyond = int(padded[0]) if len(padded) else None
        return cls(mask.shape[1], frozenset(named), along, beyond)

    def longest(self, inputs: Inputs) -> int:
        """Return how many positions the longest sample of a batch has, at least 1."""
        assert isinstance(inputs, Named)  # of data that have positions
        mask = inputs.tensors[PADDING]
        return max(1, int(mask.sum(dim=1).max())) if len(mask) else 1

    def cut(self, inputs: Inputs, targets: Tensor) -> tuple[Inputs, Tensor]:
        """Return a batch that is as long as its longest sample."""
        length = self.longest(inputs)
        return self.shortened(inputs, length), self.shortened_targets(targets, length)

    def shortened(self, inputs: Inputs, length: int) -> Inputs:
        """Return the first positions of inputs."""
        assert isinstance(inputs, Named)  # of data that have positions
        tensors = {
            name: _front(own, length) if name in self.inputs else own
            for name, own in inputs.tensors.items()
        }
        return Named(tensors, inputs.layout)

    def shortened_targets(self, targets: Tensor, length: int) -> Tensor:
        """Return the targets of the first positions, where each position has one."""
        return _front(targets, length) if self.targets else targets


def _front(values: Tensor, length: int) -> Tensor:
    return values if values.shape[_AXIS] == length else values.narrow(_AXIS, 0, length).contiguous()


def _is_along(values: Tensor, mask: Tensor) -> bool:
    """Whether values have the positions of a mask, and one value where there is no sample."""
    if values.dim() < 2 or values.shape[_AXIS] != mask.shape[_AXIS]:
        return False
    beyond = values[~mask]
    return not len(beyond) or bool(torch.eq(beyond, beyond[:1]).all())
