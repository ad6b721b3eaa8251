"""The tables of `CutAndResources` from a scenario: seconds by the latency model, allowed cuts."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.split_federated import phase_seconds
from splitopt.problems.base import BoolArray
from splitopt.profiles import ModelProfile
from splitopt.scenario import Device, Scenario


def tables_from_scenario(scenario: Scenario, profile: ModelProfile) -> dict[str, Any]:
    """Give the arguments of `CutAndResources`, all of shape (N, L) but ``weights``, shape (N,).

    The weights are the batch sizes, where every device states one.
    """
    seconds = phase_seconds(scenario, profile)
    fleet = scenario.fleet()
    batches = [device.batch_size for device in fleet]
    return {
        "download_s": seconds.download,
        "upload_s": seconds.upload,
        "server_s": seconds.server,
        "device_s": seconds.device,
        "allowed": allowed_by_leakage(scenario, profile) & allowed_by_memory(fleet, profile),
        "weights": None if None in batches else np.array(batches, dtype=np.float64),
    }


def allowed_by_leakage(scenario: Scenario, profile: ModelProfile) -> BoolArray:
    """Shape (L,): the cuts whose leakage is within the limit (DP-MORA C1); all without a limit."""
    limit = scenario.privacy.leakage_limit
    if limit is None:
        return np.ones(profile.layer_count, dtype=np.bool_)
    if profile.leakage is None:
        raise InputError(
            f"privacy.leakage_limit is {limit:g}, but the profile {profile.name!r} has no leakage "
            "for its cuts; take another profile, add 'leakage' to it, or drop the limit"
        )
    return np.asarray(profile.leakage <= limit)


def allowed_by_memory(fleet: list[Device], profile: ModelProfile) -> BoolArray:
    """Shape (N, L): the cuts whose device part fits into the device's memory while it trains.

    Known only where the device states its memory and batch size and the profile has a memory
    table; elsewhere every cut is allowed.
    """
    allowed = np.ones((len(fleet), profile.layer_count), dtype=np.bool_)
    fixed, per_sample = profile.device_memory_fixed_bytes, profile.device_memory_per_sample_bytes
    if fixed is None or per_sample is None:
        return allowed
    for row, device in zip(allowed, fleet, strict=True):
        if device.memory is not None and device.batch_size is not None:
            row[:] = fixed + device.batch_size * per_sample <= device.memory
    return allowed
