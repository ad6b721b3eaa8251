"""The arguments of `ReplicatedPipeline` from types of machines, alone or in a scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from splitopt.documents.checks import check_choice, check_whole
from splitopt.errors import InputError, shown
from splitopt.latency.layer_seconds import LayerSeconds, SpeedSource, layer_seconds
from splitopt.profiles import MachineModel, ModelProfile
from splitopt.profiles.counting.memory import layer_parameters
from splitopt.scenario import Scenario
from splitopt.scenario.replication import Replication

BITS = 8.0
OPTIMIZERS = {"sgd": 0, "momentum": 1, "adam": 2}
"""Name -> numbers that the optimizer keeps for each weight."""

Machines = Mapping[str, int] | Sequence[tuple[SpeedSource, int]]


def tables_from_profile(
    profile: ModelProfile, machines: Machines, batch_size: int, optimizer: str
) -> dict[str, Any]:
    """Return times, devices and bytes of a whole model as arguments of `ReplicatedPipeline`.

    Parameters
    ----------
    profile
        The model.
    machines
        For each type of device what its seconds follow from (the name of a measured machine, FLOP/s
        or a machine model) and how many there are.
    batch_size
        Samples of a micro-batch.
    optimizer
        A key of `OPTIMIZERS`.

    Raises
    ------
    InputError
        No machines, one that the profile does not know, or another value that does not fit.
    """
    check_whole("batch_size", batch_size, 1)
    check_choice("optimizer", optimizer, tuple(OPTIMIZERS))
    pairs = _pairs(machines)
    seconds = [layer_seconds(profile, speed) for speed, _ in pairs]
    return _tables(profile, seconds, [count for _, count in pairs], batch_size, optimizer)


def tables_from_scenario(scenario: Scenario, profile: ModelProfile) -> dict[str, Any]:
    """Return the arguments of `ReplicatedPipeline` of a scenario with the section ``replication``.

    Raises
    ------
    InputError
        There is no such section, the profile does not know a machine, or memory is limited and the
        profile does not say what its layers keep.
    """
    section = replication_of(scenario)
    types = section.types
    memory = [one.memory for one in types] if section.is_limited else None
    check_saved(profile, memory, "'memory' of the types")
    seconds = [layer_seconds(profile, one.speed, one.slowdown or 1.0) for one in types]
    counts = [one.count for one in types]
    return {
        **_tables(profile, seconds, counts, section.batch_size, section.optimizer),
        "micro_batches": section.micro_batches,
        "bandwidth_bytes_per_s": [one.rate / BITS for one in types],
        "duplex": section.duplex,
        "memory_bytes": memory,
        "reserve_bytes": [one.reserve or 0.0 for one in types],
        "schedule": section.schedule,
        "recompute": section.recompute,
        "shard_optimizer": section.shard_optimizer,
        "overlap": section.overlap,
        "max_replicas": section.max_replicas,
        "use_all_devices": section.use_all_machines,
    }


def replication_of(scenario: Scenario) -> Replication:
    """Return the section, or raise `InputError` where there is none."""
    if scenario.replication is None:
        raise InputError.at(
            "replication",
            "there is no such section, and this problem asks which of its machines train which "
            "layers",
        )
    return scenario.replication


def _tables(
    profile: ModelProfile,
    seconds: Sequence[LayerSeconds],
    counts: Sequence[int],
    batch_size: int,
    optimizer: str,
) -> dict[str, Any]:
    """Return times, devices and bytes, of the seconds per sample on a machine of each type."""
    weights = layer_parameters(profile)
    saved = profile.layer_saved_bytes
    up, down = profile.smashed_bytes, profile.gradient_bytes
    return {
        "forward_s": batch_size * np.stack([item.forward for item in seconds]),
        "backward_s": batch_size * np.stack([item.backward for item in seconds]),
        "devices": list(counts),
        "weight_bytes": weights,
        "activation_bytes": None if saved is None else batch_size * saved,
        "optimizer_bytes": OPTIMIZERS[optimizer] * weights,
        "cut_up_bytes": batch_size * np.append(0.0, up),
        "cut_down_bytes": batch_size * np.append(0.0, down),
    }


def check_saved(profile: ModelProfile, memory: Any, field: str = "memory_bytes") -> None:
    """Raise `InputError` where memory is limited and the profile has no saved tensors."""
    if memory is not None and profile.layer_saved_bytes is None:
        raise InputError(
            f"profile {profile.name!r} has no layer_saved_bytes, without which the memory of a "
            f"stage is not known; add the array to the profile, or leave out {field}"
        )


def _pairs(machines: Any) -> list[tuple[SpeedSource, int]]:
    """Read types of machines with their counts."""
    given = list(machines.items()) if isinstance(machines, Mapping) else machines
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise InputError.at(
            "machines", f"is {shown(machines)}, it must name machines and how many there are"
        )
    for place, pair in enumerate(given):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError.at(
                f"machines[{place}]", f"is {shown(pair)}, it must be a machine and its number"
            )
        speed = pair[0]
        stated = isinstance(speed, int | float) and not isinstance(speed, bool) and speed > 0
        if not (stated or isinstance(speed, str | MachineModel)):
            raise InputError.at(
                f"machines[{place}]",
                f"is {shown(speed)}, it must be the name of a machine, FLOP/s above 0, or a "
                "machine model",
            )
    return [(speed, count) for speed, count in given]
