"""Seconds of each layer by itself on a machine: measured ones, or work over speed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.profiles import ModelProfile

FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class LayerSeconds(NamedTuple):
    """Seconds per sample of each layer, shape (L,) each."""

    forward: FloatArray
    backward: FloatArray


def layer_seconds(
    profile: ModelProfile,
    speed: float | str,
    slowdown: float = 1.0,
    needed: Mask | None = None,
) -> LayerSeconds:
    """Give the seconds of each layer's forward and backward pass for one sample.

    Parameters
    ----------
    profile
        The model.
    speed
        FLOP/s, or the name of a machine that the profile was measured on. The weight update of a
        measured machine belongs to the backward pass: MP-SL's nodes update behind it, while the
        gradient is already on its way, but they compute all the same.
    slowdown
        Factor on the seconds.
    needed
        Shape (L,): the layers that the machine computes; all by default. The others may be
        unmeasured, and their seconds mean nothing.

    Raises
    ------
    InputError
        No such machine, one where a needed layer was not measured, or work that falls from one
        cut to the next, so that a layer has none of its own.
    """
    if isinstance(speed, str):
        times = profile.machine_times(speed, needed)
        return LayerSeconds(
            slowdown * times.forward_s, slowdown * (times.backward_s + times.update_s)
        )
    work = profile.layer_work()
    if (falling := np.flatnonzero((work.forward < 0) | (work.backward < 0))).size:
        at = int(falling[0])
        raise InputError(
            f"profile {profile.name!r}: the work falls at layer {at + 1} ({profile.layers[at]}), "
            "so that the layer by itself has none; take another profile, or a measured machine"
        )
    return LayerSeconds(slowdown * work.forward / speed, slowdown * work.backward / speed)
