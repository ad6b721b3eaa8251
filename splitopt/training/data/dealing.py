"""Rows of each class, dealt out to clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.data.partition_input import Labels, Rows, check_labels


def by_counts(
    targets: Tensor, counts: Sequence[Sequence[int]], seed: int, names: Sequence[str]
) -> list[Tensor]:
    """Share out so many samples of each class.

    Parameters
    ----------
    targets
        The labels, shape (n,), whole numbers >= 0.
    counts
        For each client, how many samples of class 0, 1, ...
    seed
        The same seed gives the same rows.
    names
        Of the clients, for messages.

    Returns
    -------
    For each client, different row numbers in rising order; no row is given twice.

    Raises
    ------
    InputError
        The data has fewer samples of a class than the clients are to have; it is named.
    """
    classes = len(counts[0])
    labels = check_labels(targets, classes, "counts", needs_classes=True)
    rng = np.random.default_rng([seed, 0x5EED])
    pools = [rng.permutation(np.flatnonzero(labels == label)) for label in range(classes)]
    taken = [np.asarray(row, dtype=np.int64) for row in counts]
    for label, pool in enumerate(pools):
        ends = np.cumsum([row[label] for row in taken])
        if ends[-1] > len(pool):
            first = names[int(np.flatnonzero(ends > len(pool))[0])]
            raise InputError.at(
                "data",
                f"has {len(pool)} samples of class {label}, and the clients are to have "
                f"{ends[-1]}: {first} finds too few; state fewer, or take larger data",
            )
    rows = dealt(pools, np.arange(classes), taken)
    return [torch.from_numpy(np.sort(own)) for own in rows]


def pools_of(labels: Labels, rng: np.random.Generator) -> Rows:
    """Return the rows of each class in random order."""
    return [
        rng.permutation(np.flatnonzero(labels == label)) for label in range(int(labels.max()) + 1)
    ]


def dealt(
    pools: Rows, present: np.ndarray[Any, Any], taken: Sequence[np.ndarray[Any, Any]]
) -> Rows:
    """Deal each client in turn the next rows of each class, as many as it takes of it."""
    ends = np.cumsum(taken, axis=0)
    return [
        np.concatenate(
            [
                pools[label][end - count : end]
                for label, end, count in zip(present, upto, own, strict=True)
            ]
        )
        for upto, own in zip(ends, taken, strict=True)
    ]
