"""`GeneratorPairing` from the section ``generators`` of a scenario."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.exchange import WAYS, exchange_seconds
from splitopt.latency.split_federated import link_rate
from splitopt.problems.base import FloatArray
from splitopt.problems.generator_pairing.data import MOST_DEVICES
from splitopt.scenario import Scenario
from splitopt.scenario.generators import Generators


def section_of(scenario: Scenario) -> Generators:
    """Return the section ``generators``.

    Raises
    ------
    InputError
        There is none.
    """
    if scenario.generators is None:
        raise InputError(
            "the scenario has no section 'generators'; add one with the size of a generator and "
            "the classes of each device"
        )
    return scenario.generators


def transfer_seconds(scenario: Scenario) -> FloatArray:
    """Shape (D, D): seconds of sending the generator of device j (column) to device i (row)."""
    section, fleet = section_of(scenario), scenario.fleet()
    up = [link_rate(scenario.link(device, "uplink")) for device in fleet]
    down = [link_rate(scenario.link(device, "downlink")) for device in fleet]
    delay = section.latency or 0.0
    found: FloatArray = exchange_seconds(section.size, up, down, delay, section.route)
    return found


def transfer_bytes(scenario: Scenario) -> float:
    """Return the bytes that cross links when a generator is sent to one device."""
    section = section_of(scenario)
    return section.size * WAYS[section.route]


def tables_from_scenario(scenario: Scenario) -> dict[str, Any]:
    """Return the fields of `GeneratorPairing`.

    Raises
    ------
    InputError
        There is no section ``generators``, or its labels do not match.
    """
    section, groups = section_of(scenario), scenario.device_groups()
    devices = sum(len(names) for _, names in groups)
    if devices > MOST_DEVICES:
        raise InputError.at(
            "devices",
            f"are {devices:,}, generators are paired for at most {MOST_DEVICES:,}: plan a smaller "
            "number of alike ones",
        )
    if section.cost == "bytes":
        cost: FloatArray = np.full((devices, devices), transfer_bytes(scenario))
    else:
        cost = transfer_seconds(scenario)
    found: dict[str, Any] = {"cost": cost, "labels": section.labels}
    for field in ("classes", "counts"):
        if getattr(section, field) is not None:
            found[field] = [list(row) for row in section.rows(field, groups)]
    found["names"] = [name for _, names in groups for name in names]
    found |= _generators(section, groups, found)
    for field in ("sources", "redundant", "least_samples", "least_quality", "quality_weight"):
        found[field] = getattr(section, field)
    if section.most_receivers is not None:
        found["caps"] = _caps(section, groups, devices)
    return {key: value for key, value in found.items() if value is not None}


def _generators(section: Generators, groups: Any, known: dict[str, Any]) -> dict[str, Any]:
    """Return what generators were trained on, and their quality."""
    found: dict[str, Any] = {}
    if section.generates is not None:
        own = _own_labels(section, known)
        rows = section.rows("generates", groups)
        found["generates"] = [own[i] if row is None else list(row) for i, row in enumerate(rows)]
    if section.quality is not None:
        labels = section.labels or sorted({c for row in known["classes"] for c in row})
        found["quality"] = [
            list(row) if isinstance(row, tuple) else [1.0 if row is None else row] * len(labels)
            for row in section.rows("quality", groups)
        ]
    return found


def _own_labels(section: Generators, known: dict[str, Any]) -> list[list[Any]]:
    """Return the labels of which each device has samples."""
    if section.counts is None:
        rows: list[list[Any]] = known["classes"]
        return rows
    labels = section.labels or ()
    return [
        [label for label, count in zip(labels, row, strict=True) if count > 0]
        for row in known["counts"]
    ]


def _caps(section: Generators, groups: Any, devices: int) -> list[int] | int:
    """Return the most receivers of each generator; all others where none is stated."""
    if not isinstance(section.most_receivers, dict):
        assert section.most_receivers is not None  # the caller saw to it
        return section.most_receivers
    rows = section.rows("most_receivers", groups)
    return [devices if row is None else row for row in rows]
