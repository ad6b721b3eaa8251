"""What a round says of each client, and how far clients are apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_LARGE = 1e150
"""Squares of larger numbers are none that a float can hold."""


@dataclass(frozen=True)
class ClientRow:
    """One client in one round.

    Parameters
    ----------
    loss, samples
        Its mean training loss, and over how many samples; None and 0 where it did not train.
    test_loss, test_samples
        Of the common model on the client's own share of the test data, and how many samples that
        has; None and 0 where it was not tested on them, or has none of them.
    metrics
        All metrics of the task on this share, by name.
    """

    loss: float | None = None
    samples: int = 0
    test_loss: float | None = None
    test_samples: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)

    def value_of(self, name: str) -> float | None:
        """Return what it has under the name of a metric, or under ``loss`` or ``test_loss``."""
        if name == "loss":
            return self.loss
        return self.test_loss if name == "test_loss" else self.metrics.get(name)


class Spread(NamedTuple):
    """How far a value is spread over clients, each of which counts once.

    Parameters
    ----------
    clients
        How many have a value.
    mean
        Of their values.
    variation
        The coefficient of variation: the standard deviation (of all of them, not of a sample) over
        the magnitude of the mean; None where the mean is 0.
    lowest, highest
        The client with the lowest and the one with the highest value, each with its value.
    """

    clients: int
    mean: float
    variation: float | None
    lowest: tuple[str, float]
    highest: tuple[str, float]


def spread_of(rows: Mapping[str, ClientRow], name: str) -> Spread | None:
    """Return the spread of a value over clients, None where no client has it.

    Parameters
    ----------
    rows
        By the names of clients.
    name
        A metric of the task, ``loss`` or ``test_loss``.
    """
    values = {
        client: value for client, row in rows.items() if (value := row.value_of(name)) is not None
    }
    if not values:
        return None
    unit = _unit(values.values())
    scaled = [value / unit for value in values.values()]
    mean = math.fsum(scaled) / len(scaled)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in scaled) / len(scaled))
    return Spread(
        len(values),
        mean * unit,
        deviation / abs(mean) if mean else None,
        min(values.items(), key=lambda item: item[1]),
        max(values.items(), key=lambda item: item[1]),
    )


def group_loss(rows: Mapping[str, ClientRow], group: Iterable[str]) -> float | None:
    """Return the mean training loss over the samples of a group of clients, None without any."""
    trained = [rows[name] for name in group if name in rows]
    samples = sum(row.samples for row in trained)
    known = [(row.loss, row.samples) for row in trained if row.loss is not None]
    if not samples:
        return None
    unit = _unit(loss for loss, _ in known)
    return math.fsum(loss / unit * count for loss, count in known) / samples * unit


def _unit(values: Iterable[float]) -> float:
    """Return what to divide values by so that neither sums nor squares of them overflow."""
    largest = max(map(abs, values), default=0.0)
    return largest if largest > _LARGE else 1.0
