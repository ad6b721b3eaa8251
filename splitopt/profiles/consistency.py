"""Whether the columns of a profile's table add up to one model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from splitopt.errors import InputError

if TYPE_CHECKING:
    from splitopt.profiles.model import ModelProfile

_RELATIVE = 1e-6
_RISING = ("device_forward_flop", "device_backward_flop", "device_model_bytes")


def check_sums(profile: ModelProfile) -> None:
    """Refuse a table that is of no model: work that depends on the cut, a device part that shrinks.

    Tables that were evaluated from regression curves, or are printed in a paper, need not add up
    and are not checked.

    Raises
    ------
    InputError
        With the column, the cut and the numbers.
    """
    if profile.curves is not None or profile.provenance.kind == "published":
        return
    for phase in ("forward", "backward"):
        device = getattr(profile, f"device_{phase}_flop")
        whole = device + getattr(profile, f"server_{phase}_flop")
        apart = np.abs(whole - device[-1]) > _RELATIVE * max(float(device[-1]), 1.0)
        if apart.any():
            at = int(np.flatnonzero(apart)[0])
            raise InputError.at(
                f"device_{phase}_flop",
                f"does not add up: with server_{phase}_flop it is {whole[at]:g} at cut {at + 1} "
                f"({profile.layers[at]}), but {device[-1]:g} at the last cut; both parts of a "
                "model make the whole at every cut",
            )
    for name in _RISING:
        column = getattr(profile, name)
        falls = np.diff(column) < -_RELATIVE * max(float(column.max()), 1.0)
        if falls.any():
            at = int(np.flatnonzero(falls)[0]) + 1
            raise InputError.at(
                name,
                f"falls from {column[at - 1]:g} to {column[at]:g} at cut {at + 1} "
                f"({profile.layers[at]}); the device's part only grows, so give cumulative numbers",
            )
