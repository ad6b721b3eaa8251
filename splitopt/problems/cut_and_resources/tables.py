"""The tables of `CutAndResources` from a scenario: seconds by the latency model, allowed cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from splitopt.latency.split_federated import phase_curves, phase_seconds
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources.factors import Factors
from splitopt.problems.limits import allowed_by_leakage, allowed_by_tied
from splitopt.problems.memory import allowed_by_memory, server_budget
from splitopt.profiles import ModelProfile
from splitopt.scenario import Device, Scenario

GROUPED = 100_000
"""From this many devices on, the groups of a scenario are kept as classes with a count."""


def tables_from_scenario(scenario: Scenario, profile: ModelProfile) -> dict[str, Any]:
    """Return the arguments of `CutAndResources`, tables of shape (N, L) and the optional fields.

    The ``weights``, shape (N,), are the batch sizes, where every device states one; the same goes
    for the powers. The ``curves`` are those of the profile through the latency model, where it has
    them for all its columns. A ``priority`` that is not stated is 1; ``shared_links`` is
    ``links.shared``. The memory of the server is a budget: it holds a copy of its part for every
    device.
    """
    seconds = phase_seconds(scenario, profile)
    fleet = scenario.fleet()
    return {
        "download_s": seconds.download,
        "upload_s": seconds.upload,
        "server_s": seconds.server,
        "device_s": seconds.device,
        "allowed": allowed_by_leakage(scenario, profile)
        & allowed_by_memory(fleet, profile)
        & allowed_by_tied(profile, exchanging=True),
        "weights": if_all([device.batch_size for device in fleet]),
        "curves": phase_curves(scenario, profile),
        "priority": priorities(fleet),
        "device_w": if_all([device.compute_power for device in fleet]),
        "radio_w": if_all([scenario.link(device, "uplink").transmit_power for device in fleet]),
        "seconds_per_joule": scenario.tradeoff.seconds_per_joule,
        "shared_links": scenario.links.shared,
        "budgets": None if (budget := server_budget(scenario, profile)) is None else [budget],
    }


def factors_from_scenario(
    scenario: Scenario, profile: ModelProfile
) -> tuple[Factors, dict[str, Any]]:
    """Return the factors of a large fleet, a class per group of devices, and the optional fields.

    The ``curves`` of the profile are left out.
    """
    single = tuple(device.model_copy(update={"count": 1}) for device in scenario.devices)
    tables = tables_from_scenario(scenario.model_copy(update={"devices": single}), profile)
    count = np.array([device.count for device in scenario.devices], dtype=np.int64)
    tables.pop("curves")
    four = tuple(tables.pop(name) for name in ("download_s", "upload_s", "server_s", "device_s"))
    factors = Factors.of_tables(four, tables.pop("allowed"), count)
    whole = {name: tables.pop(name) for name in ("seconds_per_joule", "shared_links", "budgets")}
    optional = {
        name: None if value is None else np.repeat(value, count) for name, value in tables.items()
    }
    return factors, optional | whole


def priorities(fleet: Sequence[Device]) -> FloatArray | None:
    """Shape (N,): the priorities, 1 where a device states none; None where nobody states one."""
    stated = [device.priority for device in fleet]
    if set(stated) == {None}:
        return None
    return np.array([1.0 if priority is None else priority for priority in stated])


def if_all(values: Sequence[float | None]) -> FloatArray | None:
    """Return the values as an array, None if one is missing."""
    return None if None in values else np.array(values, dtype=np.float64)
