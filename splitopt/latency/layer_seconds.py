"""Seconds of each layer on a machine: measured, by a machine model, or work over speed."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.profiles import MachineModel, ModelProfile
from splitopt.profiles.table.operator_counts import PHASES

FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
SpeedSource: TypeAlias = float | str | MachineModel
"""What a machine's seconds follow from: FLOP/s, the name of a measured machine, or its model."""


class LayerSeconds(NamedTuple):
    """Seconds per sample of each layer, shape (L,) each."""

    forward: FloatArray
    backward: FloatArray


def layer_seconds(
    profile: ModelProfile,
    speed: SpeedSource,
    slowdown: float = 1.0,
    needed: Mask | None = None,
) -> LayerSeconds:
    """Return the seconds of each layer's forward and backward pass for one sample.

    Parameters
    ----------
    profile
        The model.
    speed
        FLOP/s, the name of a machine that the profile was measured on, or a machine model. The
        weight update of a measured machine or a model belongs to the backward pass: MP-SL's nodes
        update behind it, while the gradient is already on its way, but they compute all the same.
    slowdown
        Factor on the seconds.
    needed
        Shape (L,): the layers that the machine computes; all by default. The others may be
        unmeasured, and their seconds mean nothing.

    Raises
    ------
    InputError
        No such machine, one where a needed layer was not measured, a machine model for a profile
        that does not say what its operators do, or work that falls from one
        cut to the next, so that a layer has none of its own.
    """
    if isinstance(speed, str):
        times = profile.machine_times(speed, needed)
        return LayerSeconds(
            slowdown * times.forward_s, slowdown * (times.backward_s + times.update_s)
        )
    if isinstance(speed, MachineModel):
        forward, backward, update = (
            slowdown * modelled_seconds(profile, speed, phase) for phase in PHASES
        )
        return LayerSeconds(forward, backward + update)
    work = profile.layer_work()
    if (falling := np.flatnonzero((work.forward < 0) | (work.backward < 0))).size:
        at = int(falling[0])
        raise InputError(
            f"profile {profile.name!r}: the work falls at layer {at + 1} ({profile.layers[at]}), "
            "so that the layer by itself has none; take another profile, or a measured machine"
        )
    return LayerSeconds(slowdown * work.forward / speed, slowdown * work.backward / speed)


def modelled_seconds(profile: ModelProfile, model: MachineModel, phase: str) -> FloatArray:
    """Shape (L,): seconds per sample of each layer in a phase of `PHASES` by a machine model.

    What the operators do for a sample of the model's batch, times the seconds per unit; weights
    and operators are shared by the batch. Messages are no part of a layer.
    """
    counts = profile.operator_counts(model.name).per_sample(phase, model.batch)
    found: FloatArray = counts @ model.coefficients
    return found


def message_seconds(profile: ModelProfile, speed: SpeedSource) -> FloatArray:
    """Shape (L,): seconds per sample that a machine spends on one message behind each layer.

    A message carries a batch; none is sent where nothing crosses. 0 unless a machine model states
    them.
    """
    if not isinstance(speed, MachineModel):
        return np.zeros(profile.layer_count)
    return np.where(profile.smashed_bytes > 0, speed.message_s / speed.batch, 0.0)
