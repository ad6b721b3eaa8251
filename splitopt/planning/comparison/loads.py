"""What a choice of cuts costs beside time: traffic, work, memory, leakage."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.latency.pipeline import rent
from splitopt.latency.split_federated import exchanged_in_round, traffic_bits
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.memory import device_memory_bytes, server_copies_bytes, server_shared_bytes
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.tied import has_copies
from splitopt.scenario import Scenario


def device_loads(
    scenario: Scenario, profile: ModelProfile, cuts: IntArray, crossing: Any = None
) -> dict[str, Any]:
    """Return the fields of a row that follow from a cut per device (N,), all samples passed.

    `crossing`, shape (2, N), are the bytes of a sample that cross each cut down and up, where they
    are not those of the profile.
    """
    fleet, at, work = scenario.fleet(), cuts - 1, work_per_sample(profile)
    samples = np.array([device.samples for device in fleet], dtype=np.float64)
    passes = scenario.training.epochs * samples
    if crossing is None:
        crossing = profile.gradient_bytes[at], profile.smashed_bytes[at]
    bits = sum(
        traffic_bits(profile.device_model_bytes[at], size, samples, scenario.training.epochs)
        for size in crossing
    )
    if has_copies(profile):
        rows = np.arange(len(at))
        bits = bits + 8.0 * sum(way[rows, at] for way in exchanged_in_round(scenario, profile))
    return {
        "traffic_bytes": float(np.sum(bits)) / 8,
        "device_flop": None if work is None else float((passes * work[at]).max()),
        "device_memory_bytes": device_memory(scenario, profile, cuts),
        "leakage": None if profile.leakage is None else float(profile.leakage[at].max()),
    }


def work_per_sample(profile: ModelProfile) -> FloatArray | None:
    """Shape (L,): FLOP of the device part, forward and backward; None if it was not counted."""
    if not profile.has_work:
        return None
    return np.asarray(profile.device_forward_flop + profile.device_backward_flop)


def batch_sizes(scenario: Scenario) -> FloatArray | None:
    """Shape (N,): the devices' batch sizes, None if one states none."""
    sizes = [device.batch_size for device in scenario.fleet()]
    return None if None in sizes else np.array(sizes, dtype=np.float64)


def device_memory(scenario: Scenario, profile: ModelProfile, cuts: IntArray) -> float | None:
    """Bytes of the device that needs most."""
    found = []
    for device, cut in zip(scenario.fleet(), cuts, strict=True):
        if (need := device_memory_bytes(device, profile)) is None:
            return None
        found.append(float(need[cut - 1]))
    return max(found)


def copies_memory(scenario: Scenario, profile: ModelProfile, cuts: IntArray) -> float | None:
    """Bytes of a server that has a copy of its part for every device, at its own cut (N,)."""
    need = server_copies_bytes(scenario, profile)
    return None if need is None else float(need[np.arange(len(cuts)), cuts - 1].sum())


def shared_memory(
    profile: ModelProfile, cut: int, samples: float | None, devices: int = 1
) -> float | None:
    """Bytes of a server with one copy that works on so many samples at once.

    So many devices have parts of their own meanwhile, see `server_shared_bytes`.
    """
    need = None if samples is None else server_shared_bytes(profile, samples, devices)
    return None if need is None else float(need[cut - 1])


def server_rent(scenario: Scenario, seconds: float) -> float | None:
    """Return the rent of the one server for so long, None if it has no price."""
    price = scenario.servers[0].price_per_hour
    return None if price is None else float(rent(seconds, np.array([price])))


def cut_words(profile: ModelProfile, cuts: IntArray) -> str:
    """Write where devices cut."""
    first, last = int(cuts.min()), int(cuts.max())
    if first == last:
        return f"{first} ({profile.layers[first - 1]})"
    return f"{first} to {last}, by device"
