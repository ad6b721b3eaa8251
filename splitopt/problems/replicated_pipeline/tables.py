"""The arguments of `ReplicatedPipeline` from a model's profile and types of machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from splitopt.documents.checks import check_choice, check_whole
from splitopt.errors import InputError, shown
from splitopt.latency.layer_seconds import SpeedSource, layer_seconds
from splitopt.profiles import MachineModel, ModelProfile
from splitopt.profiles.counting.memory import layer_parameters

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
    weights = layer_parameters(profile)
    saved = profile.layer_saved_bytes
    up, down = profile.smashed_bytes, profile.gradient_bytes
    return {
        "forward_s": batch_size * np.stack([item.forward for item in seconds]),
        "backward_s": batch_size * np.stack([item.backward for item in seconds]),
        "devices": [count for _, count in pairs],
        "weight_bytes": weights,
        "activation_bytes": None if saved is None else batch_size * saved,
        "optimizer_bytes": OPTIMIZERS[optimizer] * weights,
        "cut_up_bytes": batch_size * np.append(0.0, up),
        "cut_down_bytes": batch_size * np.append(0.0, down),
    }


def check_saved(profile: ModelProfile, memory: Any) -> None:
    """Raise `InputError` where memory is limited and the profile has no saved tensors."""
    if memory is not None and profile.layer_saved_bytes is None:
        raise InputError(
            f"profile {profile.name!r} has no layer_saved_bytes, without which the memory of a "
            "stage is not known; add the array to the profile, or leave out memory_bytes"
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
