"""The curves of `CutAndResources`: seconds over a cut that need not be an integer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.errors import InputError
from splitopt.problems.arrays import number_table
from splitopt.problems.base import FloatArray
from splitopt.profiles.curves import FAMILIES


def read_curves(value: Any, source: str, devices: int) -> dict[str, FloatArray]:
    """Read the coefficients by family, each of shape (N, 4, k), and make them read-only.

    Raises
    ------
    InputError
        No family, one that is not known, or coefficients of another shape or not finite.
    """
    known = ", ".join(FAMILIES)
    if not isinstance(value, Mapping) or not value:
        raise InputError.at(source, f"must be an object of coefficients by family ({known})")
    for family in value:
        if family not in FAMILIES:
            raise InputError.at(source, f"the family {family!r} is unknown; known are {known}")
    return {
        family: number_table(
            table,
            f"{source}.{family}",
            "coefficients in s",
            (devices, 4, FAMILIES[family]),
            signed=True,
        )
        for family, table in value.items()
    }
