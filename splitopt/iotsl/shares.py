"""Who has which samples: the shares of a data set that a scenario's devices get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splitopt.errors import InputError, shown
from splitopt.scenario import Scenario
from splitopt.training.data import DataSet
from splitopt.training.data.dealing import by_counts
from splitopt.training.data.partition import Samples, partition, share_out

if TYPE_CHECKING:
    from torch import Tensor

    from splitopt.scenario.generators import Generators

Counts = NDArray[np.int64]


def shares_of(
    scenario: Scenario, data: DataSet, how: str | None, samples: Samples, seed: int
) -> list[Tensor]:
    """Share out the training data among the devices of a scenario.

    Parameters
    ----------
    scenario
        With the section ``generators``.
    data
        With one label for each sample.
    how
        As for `splitopt.training.data.partition.partition`; None for what the section says: its
        ``counts``, or equal parts of each device's samples for its ``classes``.
    samples
        As for `partition`; of no meaning where the section says who has what.
    seed
        The same seed gives the same rows.

    Returns
    -------
    For each device, the rows of its samples.

    Raises
    ------
    InputError
        Labels that the data does not have, or fewer samples than asked for.
    """
    fleet = scenario.fleet()
    if how is not None:
        sizes = [device.samples for device in fleet]
        return partition(
            data.train_targets, sizes, how, seed, samples=samples, classes=data.classes
        )
    assert scenario.generators is not None  # the job saw to it
    assert data.classes is not None  # labels have classes
    counts = stated_counts(scenario, scenario.generators, data.classes)
    return by_counts(data.train_targets, counts, seed, [device.name for device in fleet])


def stated_counts(scenario: Scenario, section: Generators, classes: int) -> list[list[int]]:
    """Return how many samples of class 0, 1, ... the section says that each device has.

    Where it states ``classes``, a device's samples are equal parts of them, by largest remainders.

    Raises
    ------
    InputError
        A label that is no class of the data.
    """
    groups = scenario.device_groups()
    if section.counts is not None:
        labels = class_numbers(section.labels or (), classes)
        rows = section.rows("counts", groups)
        return [_placed(labels, list(row), classes) for row in rows]
    found = []
    for device, own in zip(scenario.fleet(), section.rows("classes", groups), strict=True):
        labels = sorted(set(class_numbers(own, classes)))
        found.append(_placed(labels, share_out(device.samples, [1.0] * len(labels)), classes))
    return found


def class_numbers(labels: Sequence[int | str], classes: int) -> list[int]:
    """Return labels as numbers of classes.

    Raises
    ------
    InputError
        One is a text, or no class of the data.
    """
    for label in labels:
        if not isinstance(label, int) or not 0 <= label < classes:
            raise InputError.at(
                "generators",
                f"the label {shown(label)} is no class of the data, which has 0 to "
                f"{classes - 1}; write labels as these numbers, or share out the data by "
                "--partition",
            )
    return [label for label in labels if isinstance(label, int)]


def _placed(labels: Sequence[int], counts: Sequence[int], classes: int) -> list[int]:
    row = [0] * classes
    for label, count in zip(labels, counts, strict=True):
        row[label] += count
    return row


def histogram(targets: Tensor, classes: int) -> Counts:
    """Shape (C,): how many samples of each class there are."""
    found: Counts = np.bincount(targets.numpy(), minlength=classes).astype(np.int64)
    return found
