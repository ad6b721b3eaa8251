"""Scenarios of the same fleet with the samples, classes and generators that it really has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from splitopt.errors import InfeasibleError
from splitopt.iotsl.shares import Counts, class_numbers
from splitopt.scenario import Scenario

Qualities = NDArray[np.float64]


def with_samples(scenario: Scenario, samples: Sequence[int]) -> Scenario:
    """Return a scenario whose devices have so many samples, without generators and data.

    Batches that would be larger than the samples of a device are all of them.
    """
    devices = tuple(
        device._with(
            samples=own,
            batch_size=None if device.batch_size is None else min(device.batch_size, own),
        )
        for device, own in zip(scenario.fleet(), samples, strict=True)
    )
    return scenario._with(devices=devices, generators=None, data=None)


def wanted_labels(scenario: Scenario, counts: Counts) -> list[int]:
    """Return the classes that every device is to have: those stated, or all that some device has.

    Parameters
    ----------
    scenario
        With the section ``generators``.
    counts
        Shape (D, C): the samples of each class on each device.
    """
    section = scenario.generators
    assert section is not None  # the job saw to it
    if section.labels is not None:
        return class_numbers(section.labels, counts.shape[1])
    return np.flatnonzero(counts.any(axis=0)).tolist()


def as_found(
    scenario: Scenario, counts: Counts, quality: Qualities, generator_bytes: int
) -> Scenario:
    """Return the scenario in which `GeneratorPairing` asks for the exchange of a run.

    The generators are at the server by then, so that they only go down.

    Parameters
    ----------
    scenario
        With the section ``generators``, whose options stay.
    counts
        Shape (D, C): what each device tells of its samples of each class.
    quality
        Shape (D, C): of each device's generator by class, from 0 to 1.
    generator_bytes
        Of a generator.

    Raises
    ------
    InfeasibleError
        A device that tells of no class at all.
    """
    section, fleet = scenario.generators, scenario.fleet()
    assert section is not None  # the job saw to it
    names, labels = [device.name for device in fleet], wanted_labels(scenario, counts)
    for name, row in zip(names, counts, strict=True):
        if not row[labels].any():
            raise InfeasibleError(
                f"{name} tells of no sample of any wanted class; with --histogram-epsilon take a "
                "larger one, or leave the device out"
            )
    caps = section.most_receivers
    if isinstance(caps, dict):
        stated = section.rows("most_receivers", scenario.device_groups())
        caps = {name: cap for name, cap in zip(names, stated, strict=True) if cap is not None}
    found = section._with(
        size=float(generator_bytes),
        classes=None,
        counts={n: tuple(row[labels].tolist()) for n, row in zip(names, counts, strict=True)},
        labels=tuple(labels),
        generates=_generates(scenario, names, labels),
        quality={n: tuple(row[labels].tolist()) for n, row in zip(names, quality, strict=True)},
        route="stored",
        training=None,
        most_receivers=caps,
    )
    return scenario._with(devices=tuple(fleet), generators=found)


def trained_on(scenario: Scenario, classes: int) -> list[tuple[int, ...] | None]:
    """Return for each device what its generator is trained on, None for all classes that it has.

    Parameters
    ----------
    scenario
        With the section ``generators``.
    classes
        Of the data.
    """
    section = scenario.generators
    assert section is not None  # the job saw to it
    rows = section.rows("generates", scenario.device_groups())
    return [None if row is None else tuple(class_numbers(row, classes)) for row in rows]


def _generates(
    scenario: Scenario, names: Sequence[str], labels: Sequence[int]
) -> dict[str, tuple[int | str, ...]] | None:
    """Return what generators were trained on where that is stated, of the wanted labels."""
    section = scenario.generators
    if section is None or section.generates is None:
        return None
    rows = section.rows("generates", scenario.device_groups())
    return {
        name: tuple(label for label in row if label in labels)
        for name, row in zip(names, rows, strict=True)
        if row is not None
    }
