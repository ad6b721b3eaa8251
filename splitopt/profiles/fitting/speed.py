"""A machine's speed from measured times, and how well work over speed predicts those times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.profile import ModelProfile


@dataclass(frozen=True)
class FlopModel:
    """Seconds as work over one speed, held against measured seconds.

    Parameters
    ----------
    machine
        The name of the machine.
    flop_per_s
        Its speed for the whole model: work over measured forward and backward time.
    layer_error, device_error
        Relative errors of the predicted seconds, ``predicted / measured - 1``, shape ``(L,)``: of
        each layer by itself, and of the device's part at each cut. Not a number where nothing was
        measured. The last of `device_error` is 0, since the speed is that of the whole.
    """

    machine: str
    flop_per_s: float
    layer_error: Array
    device_error: Array

    def sentence(self) -> str:
        """Report the speed and the errors in one sentence."""
        device = np.abs(self.device_error[np.isfinite(self.device_error)][:-1])
        layer = np.abs(self.layer_error[np.isfinite(self.layer_error)])
        parts = (
            f"the device's part is off by {100 * np.median(device):.0f} % in the median over the "
            f"cuts and by {100 * device.max():.0f} % at most"
            if device.size
            else "there is one layer only"
        )
        return (
            f"{self.machine} works at {self.flop_per_s / 1e9:.3g} GFLOP/s on this model; with that "
            f"one speed, {parts}, a single layer by {100 * layer.max():.0f} %"
        )


def flop_model(profile: ModelProfile, machine: str) -> FlopModel:
    """Fit one speed to a machine's measured times and give the errors of work over speed.

    The weight update is left out: a profile states no work for it.

    Raises
    ------
    InputError
        No such machine, nothing measured on it, or a profile that has no work or lacks some.
    """
    if machine not in profile.machines:
        known = ", ".join(profile.machines) or "none"
        raise InputError(
            f"profile {profile.name!r} has no machine {machine!r}; its machines: {known}"
        )
    profile.expect_work()
    times = profile.machines[machine]
    measured = np.where(times.measured, times.forward_s + times.backward_s, np.nan)
    device = profile.device_forward_flop + profile.device_backward_flop
    work = np.diff(device, prepend=0.0)
    known_rows = np.isfinite(measured)
    total = float(measured[known_rows].sum())
    done = float(work[known_rows].sum())
    if total <= 0 or done <= 0:
        raise InputError(
            f"profile {profile.name!r}: {machine!r} has no measured layer with work, so no speed "
            "follows"
        )
    speed = done / total
    with np.errstate(divide="ignore", invalid="ignore"):
        layer = work / speed / measured - 1.0
        parts = np.cumsum(work) / speed / np.cumsum(measured) - 1.0
    layer[~np.isfinite(layer)] = np.nan
    return FlopModel(machine, speed, layer, parts)
