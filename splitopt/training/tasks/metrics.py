"""Metrics of a test: sums over its batches, and a value of the sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from splitopt.training.tasks.targets import IGNORED


@dataclass(frozen=True, eq=False)
class Metric:
    """A number by which models are compared on test data of any size.

    Parameters
    ----------
    sums
        Of a batch, from outputs and targets: a tensor of any fixed shape. Those of all batches are
        added up, in float64.
    value
        The metric of the added sums.
    higher_is_better
        Whether a higher value is a better model.
    unit
        ``"%"`` to show it times 100; otherwise a plain number.
    """

    sums: Callable[[Tensor, Tensor], Tensor]
    value: Callable[[Tensor], float]
    higher_is_better: bool = True
    unit: str = ""

    def is_better(self, value: float, other: float) -> bool:
        """Report whether a value is better than another one."""
        return value > other if self.higher_is_better else value < other


def share(sums: Tensor) -> float:
    """Return the first of two sums over the second; 0 where there was nothing to count."""
    return float(sums[0] / sums[1]) if float(sums[1]) else 0.0


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Count the targets whose class has the largest output, and all that are not `IGNORED`.

    Classes are the second dimension of the outputs, as in PyTorch's cross-entropy.
    """
    known = targets != IGNORED
    right = (outputs.argmax(dim=1) == targets) & known
    return torch.stack([right.sum(), known.sum()])


def token_accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Count as `accuracy`, with the classes as the last dimension of the outputs."""
    return accuracy(outputs.flatten(0, -2), targets.flatten())


class Counts(NamedTuple):
    """For each class, shape (C,): how often it is in both, found in outputs, and wanted."""

    both: Tensor
    found: Tensor
    wanted: Tensor

    @property
    def recall(self) -> Tensor:
        """What recall is a share of: those found of those wanted."""
        return torch.stack([self.both, self.wanted])

    @property
    def precision(self) -> Tensor:
        """What precision is a share of: those right of those found."""
        return torch.stack([self.both, self.found])

    @property
    def f1(self) -> Tensor:
        """What F1 (or Dice) is a share of."""
        return torch.stack([2 * self.both, self.found + self.wanted])

    @property
    def iou(self) -> Tensor:
        """What intersection over union is a share of."""
        return torch.stack([self.both, self.found + self.wanted - self.both])


def counts(outputs: Tensor, targets: Tensor) -> Counts:
    """Count classes as `accuracy` does."""
    known = targets != IGNORED
    classes = outputs.shape[1]
    found, wanted = outputs.argmax(dim=1)[known], targets[known]
    both = wanted[found == wanted]
    return Counts(*(torch.bincount(own, minlength=classes) for own in (both, found, wanted)))


def token_counts(outputs: Tensor, targets: Tensor) -> Counts:
    """Count as `counts`, with the classes as the last dimension of the outputs."""
    return counts(outputs.flatten(0, -2), targets.flatten())


def mark_counts(outputs: Tensor, targets: Tensor) -> Counts:
    """Count marks (outputs above 0) of each class."""
    found, wanted = outputs > 0, targets > 0
    return Counts(*(own.sum(dim=0) for own in (found & wanted, found, wanted)))


def overlap(outputs: Tensor, targets: Tensor) -> Tensor:
    """Count, for each class, the pixels in both and in either map: shape (2, C)."""
    return counts(outputs, targets).iou


def mean_iou(sums: Tensor) -> float:
    """Return the mean, over the classes there are, of intersection over union."""
    there = sums[1] > 0
    return float((sums[0][there] / sums[1][there]).mean()) if bool(there.any()) else 0.0


def squared_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """Sum squared errors, count numbers, and sum what the variance of the targets needs."""
    wanted = targets.double()
    error = outputs.reshape(targets.shape).double() - wanted
    count = torch.tensor(float(targets.numel()), dtype=torch.float64, device=targets.device)
    return torch.stack([(error**2).sum(), count, wanted.sum(), (wanted**2).sum()])


def rmse(sums: Tensor) -> float:
    """Return the root of the mean squared error."""
    return math.sqrt(share(sums))


def explained_variance(sums: Tensor) -> float:
    """Return R^2, 1 - squared errors over the targets' squared distances from their mean."""
    squares, count, total, total_squares = (float(value) for value in sums)
    around = total_squares - total**2 / count if count else 0.0
    return 1 - squares / around if around > 0 else 0.0


def absolute_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """Sum absolute errors, and count numbers."""
    error = (outputs.reshape(targets.shape) - targets).abs().sum()
    return torch.stack([error, error.new_tensor(float(targets.numel()))])


def marks(outputs: Tensor, targets: Tensor) -> Tensor:
    """Count twice the marks found (outputs above 0), and all marks that are found or there."""
    found, wanted = outputs > 0, targets > 0
    return torch.stack([2 * (found & wanted).sum(), found.sum() + wanted.sum()])


def exact_marks(outputs: Tensor, targets: Tensor) -> Tensor:
    """Count samples all of whose marks are right, and all samples."""
    right = ((outputs > 0) == (targets > 0)).all(dim=1).sum()
    return torch.stack([right, right.new_tensor(len(targets))])
