"""The curves of `CutAndResources`: seconds over a cut that need not be an integer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.errors import InputError
from splitopt.problems.arrays import number_table
from splitopt.problems.base import FloatArray
from splitopt.profiles.table.curves import KNOWN, family_size


def read_curves(value: Any, source: str, devices: int, layers: int) -> dict[str, FloatArray]:
    """Read the coefficients by family, each of shape (N, 4, k), and make them read-only.

    Raises
    ------
    InputError
        No family, one that is not known, or coefficients of another shape or not finite.
    """
    if not isinstance(value, Mapping) or not value:
        raise InputError.at(source, f"must be an object of coefficients by family ({KNOWN})")
    sizes = {}
    for family in value:
        try:
            sizes[family] = family_size(str(family), layers)
        except InputError:
            raise InputError.at(
                source, f"the family {family!r} is unknown; known are {KNOWN}"
            ) from None
    return {
        family: number_table(
            table,
            f"{source}.{family}",
            "coefficients in s",
            (devices, 4, sizes[family]),
            signed=True,
        )
        for family, table in value.items()
    }
