"""What parts of a model take of the memory of devices and servers, and the cuts that fit.

* A device holds its part of the model for one mini-batch while it trains.
* A server that has a copy of its part for every device, as in SplitFedV1 and DP-MORA, holds the
  parameters behind the device's cut, their gradients and the device's saved tensors, for all
  devices at once; one with a single copy holds the saved tensors of the samples it works on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.memory import GRADIENT_COPIES, server_parts
from splitopt.profiles.counting.tied import exchanged_bytes
from splitopt.scenario import Device, Scenario
from splitopt.units import readable_bytes

SERVER_MEMORY = "server memory"
"""Name of the budget that the memory of a server with copies is."""


def device_memory_bytes(device: Device, profile: ModelProfile) -> FloatArray | None:
    """Shape (L,): bytes of the device's part while it trains a mini-batch; None if unknown."""
    fixed, per_sample = profile.device_memory_fixed_bytes, profile.device_memory_per_sample_bytes
    if fixed is None or per_sample is None or device.batch_size is None:
        return None
    return np.asarray(fixed + device.batch_size * per_sample)


def largest_batch(device: Device, profile: ModelProfile, cut: int) -> int | None:
    """Compute the most samples in a batch that fit into a device's memory at a cut, 1..L.

    0 where not even its parameters do; None where the memory is not known, or has no end.
    """
    fixed, per_sample = profile.device_memory_fixed_bytes, profile.device_memory_per_sample_bytes
    if fixed is None or per_sample is None or device.memory is None or per_sample[cut - 1] == 0:
        return None
    return max(0, int((device.memory - fixed[cut - 1]) // per_sample[cut - 1]))


def largest_served(scenario: Scenario, profile: ModelProfile, cuts: IntArray) -> list[int | None]:
    """Compute for each device the largest batch that a server with copies has memory for.

    Of a profile whose server computes a gradient for each sample; the others' batches are as
    stated. None where it computes none, or its memory is not known or has no end.

    Parameters
    ----------
    cuts
        Shape (N,): of the devices, 1..L.
    """
    memory = scenario.servers[0].memory if len(scenario.servers) == 1 else None
    copies, parts = server_copies_bytes(scenario, profile), server_parts(profile)
    if profile.sample_gradients != "model" or memory is None or copies is None or parts is None:
        return [None] * len(cuts)
    at = cuts - 1
    use, per_sample = copies[np.arange(len(cuts)), at], parts[1][at]
    left = memory - (use.sum() - use) - parts[0][at]
    return [
        None if each == 0 else max(0, int(room // each))
        for room, each in zip(left.tolist(), per_sample.tolist(), strict=True)
    ]


def largest_for_all(scenario: Scenario, profile: ModelProfile, allowed: BoolArray) -> int:
    """Compute the largest batch of all devices for which they and a server have memory.

    Parameters
    ----------
    allowed
        Shape (N, L): the cuts that each device may have, whatever its memory.

    Returns
    -------
    At most the largest batch that is stated; 0 where not even parameters fit.
    """
    memory, parts = scenario.servers[0].memory, server_parts(profile)
    fleet = scenario.fleet()
    sizes = [device.batch_size or 0 for device in fleet]
    if memory is None or parts is None:
        return max(sizes)

    def need(batch: int) -> float:
        own = [device.model_copy(update={"batch_size": batch}) for device in fleet]
        fits = allowed & allowed_by_memory(own, profile)
        each = np.where(fits, parts[0] + batch * parts[1], np.inf)
        return float(each.min(axis=1).sum())

    fits, too_many = 0, max(sizes) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if need(middle) <= memory else (fits, middle)
    return fits


def allowed_by_memory(fleet: Sequence[Device], profile: ModelProfile) -> BoolArray:
    """Shape (N, L): the cuts whose device part fits into the device's memory while it trains.

    Where that is not known every cut is allowed, see `unchecked`.
    """
    allowed = np.ones((len(fleet), profile.layer_count), dtype=np.bool_)
    for row, device in zip(allowed, fleet, strict=True):
        if device.memory is None:
            continue
        if (need := device_memory_bytes(device, profile)) is not None:
            row[:] = need <= device.memory
    return allowed


def server_copies_bytes(scenario: Scenario, profile: ModelProfile) -> FloatArray | None:
    """Shape (N, L): bytes that a server's copy for each device takes by cut; None if unknown."""
    parts = server_parts(profile)
    sizes = [device.batch_size for device in scenario.fleet()]
    if parts is None or None in sizes:
        return None
    return np.asarray(parts[0] + np.array(sizes, dtype=np.float64)[:, None] * parts[1])


def server_shared_bytes(
    profile: ModelProfile, samples: float, devices: int = 1
) -> FloatArray | None:
    """Shape (L,): bytes of a server with one copy that works on so many samples at once.

    Of a tied weight it has a copy, and its gradient, for each of so many devices that it serves
    with parts of their own.
    """
    parts = server_parts(profile)
    if parts is None:
        return None
    further = (devices - 1) * GRADIENT_COPIES * exchanged_bytes(profile)
    return np.asarray(parts[0] + samples * parts[1] + further)


def server_budget(scenario: Scenario, profile: ModelProfile) -> dict[str, Any] | None:
    """Return the memory of the one server as a budget over the devices' cuts, None without one."""
    memory = scenario.servers[0].memory if len(scenario.servers) == 1 else None
    if memory is None or (use := server_copies_bytes(scenario, profile)) is None:
        return None
    return {"name": SERVER_MEMORY, "use": use, "limit": memory}


def unchecked(scenario: Scenario, profile: ModelProfile) -> list[str]:
    """Name the memory limits of devices and servers that cannot be checked, and why."""
    found = []
    known = profile.device_memory_fixed_bytes is not None
    known = known and profile.device_memory_per_sample_bytes is not None
    limited = [device for device in scenario.devices if device.memory is not None]
    if limited and not known:
        found.append(f"memory limits are not checked: {profile.name} has no memory table")
    unsized = [device.name for device in limited if device.batch_size is None]
    if known and unsized:
        found.append(f"memory is not checked without a batch size: {', '.join(unsized)}")
    servers = ", ".join(server.name for server in scenario.servers if server.memory is not None)
    if not servers:
        return found
    unsized = [device.name for device in scenario.devices if device.batch_size is None]
    if server_parts(profile) is None:
        found.append(
            f"the memory of {servers} is not checked: {profile.name} does not say what its layers "
            "save (layer_saved_bytes)"
        )
    elif unsized:
        found.append(
            f"the memory of {servers} is not checked without a batch size: {', '.join(unsized)}"
        )
    return found


def memory_words(size: float) -> str:
    """Write a need for memory in GiB and in decimal units."""
    return f"{size / 2**30:,.4g} GiB ({readable_bytes(size)})"
