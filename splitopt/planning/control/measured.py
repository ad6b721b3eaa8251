"""What a round's report says of speeds and channels, and what is kept where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.problems.arrays import number
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_under_uncertainty import Generator

FIELDS = ("compute", "snr_db")
_UNITS = {"compute": "FLOP/s", "snr_db": "dB"}

Reported = Mapping[str, npt.ArrayLike | Mapping[str, float | None]]
"""Field of `FIELDS` -> a number per device (N,), NaN where it is missing, or device name -> number.
"""


def completed(
    reported: Reported, last: Mapping[str, FloatArray], source: Generator, names: Sequence[str]
) -> dict[str, FloatArray]:
    """Return every field that is known, shape (N,): as reported, else as it was last, else nominal.

    Parameters
    ----------
    reported
        What the round's report says; fields, devices and single numbers may be missing.
    last
        What this function returned before.
    source
        What varies, and its nominal values.
    names
        Of the devices, in the order of the problem; none where only arrays are taken.

    Raises
    ------
    InputError
        A field or device that does not exist or does not vary, or a number that cannot be.
    """
    if not isinstance(reported, Mapping):
        raise InputError.at(
            "measured", f"is {shown(reported, 80)}, it must map {' and '.join(FIELDS)} to numbers"
        )
    found = dict(last)
    for field, values in reported.items():
        if field not in FIELDS:
            raise InputError.at(
                "measured",
                f"has {shown(field)}, known are {', '.join(FIELDS)}{did_you_mean(field, FIELDS)}",
            )
        nominal = getattr(source, f"nominal_{field}")
        if nominal is None:
            raise InputError.at(f"measured.{field}", "does not vary in this problem; drop it")
        before = np.broadcast_to(last.get(field, nominal), (source.nominal.devices,))
        if values is not None:
            found[field] = _filled(values, before, field, names)
    return found


def _filled(values: Any, before: FloatArray, field: str, names: Sequence[str]) -> FloatArray:
    """Return a number per device, the one before where none is reported."""
    place, found = f"measured.{field}", np.array(before, dtype=np.float64)
    if isinstance(values, Mapping):
        for name, value in values.items():
            if name not in names:
                known = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
                raise InputError.at(
                    place,
                    f"has the device {shown(name)}, known are {known or 'none by name'}"
                    f"{did_you_mean(name, names)}",
                )
            if value is not None and not (isinstance(value, float) and np.isnan(value)):
                found[names.index(name)] = _read(value, f"{place}[{name}]", field)
        return found
    listed = np.asarray(values, dtype=object)
    if listed.shape != found.shape:
        size = " x ".join(str(length) for length in listed.shape) or "a single value"
        raise InputError.at(place, f"is {size}, it must have one number for {len(found)} devices")
    for index, value in enumerate(listed.tolist()):
        if value is not None and not (isinstance(value, float) and np.isnan(value)):
            found[index] = _read(value, f"{place}[{index}]", field)
    return found


def _read(value: Any, place: str, field: str) -> float:
    if field == "compute":
        return number(value, place, _UNITS[field], positive=True)
    sign = -1.0 if isinstance(value, int | float) and value < 0 else 1.0
    return sign * number(abs(value) if sign < 0 else value, place, _UNITS[field])
