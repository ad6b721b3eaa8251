"""Each client's own share of the test data: as much of each class as it trains with.

A sample of the test data goes to one client at most. Those of a class are shared out in proportion
to how many samples of that class the clients train with, so that a client is tested on the mix of
classes that it has; where targets are no labels, in proportion to the clients' samples. Samples of
a class that nobody trains with are in no share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitopt.training.data.dataset import DataSet


def share_out_test(data: DataSet, targets: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Return the rows of the test data that are each client's, in rising order.

    Parameters
    ----------
    data
        Of which the test data are shared out.
    targets
        Those that each client trains with.
    seed
        Draws which of the samples of a class are whose.
    """
    if data.targets.are_labels:
        classes = data.classes or 1
        labels = data.test_targets.cpu().numpy()
        counts = [torch.bincount(own.cpu(), minlength=classes).numpy() for own in targets]
    else:
        classes, labels = 1, np.zeros(len(data.test_targets), dtype=np.int64)
        counts = [np.array([len(own)]) for own in targets]
    rng = np.random.default_rng(seed)
    found: list[list[np.ndarray[Any, Any]]] = [[] for _ in targets]
    owed = np.zeros(len(targets))
    for label in range(classes):
        rows = rng.permutation(np.flatnonzero(labels == label))
        sizes = _sizes(len(rows), np.array([own[label] for own in counts], dtype=np.float64), owed)
        for own, part in zip(found, np.split(rows, np.cumsum(sizes)), strict=False):
            own.append(part)
    return [torch.from_numpy(np.sort(np.concatenate(own))) for own in found]


def _sizes(
    samples: int, weights: np.ndarray[Any, Any], owed: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Share out some samples in whole numbers, and note in `owed` by how much these are too few.

    What is left after rounding down goes to those who are owed most, so that over many classes
    nobody is always short.
    """
    total = weights.sum()
    if not total:
        return np.zeros(len(weights), dtype=np.int64)
    exact = samples * weights / total
    sizes: np.ndarray[Any, Any] = np.floor(exact).astype(np.int64)
    owed += exact - sizes
    order = np.argsort(np.where(weights > 0, -owed, np.inf), kind="stable")
    first = order[: samples - int(sizes.sum())]
    sizes[first] += 1
    owed[first] -= 1
    return sizes
