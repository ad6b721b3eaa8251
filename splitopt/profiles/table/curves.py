"""Continuous regression curves of the cut, as papers print them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.documents.fields import expect_keys, expect_number
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import Array

FAMILIES = {"linear": 2, "quadratic": 3, "reciprocal": 2, "logarithmic": 2}
"""The families of curves with a fixed form and the number of coefficients of each."""

TABULATED = ("piecewise", "isotonic")
"""Families that are stated by their values at the cuts 1 to L, with straight lines between."""

POWER = "power"
"""A family for every exponent, named ``power:EXPONENT`` such as ``power:-0.75``."""

KNOWN = ", ".join([*FAMILIES, f"{POWER}:EXPONENT", *TABULATED])


def power_family(exponent: float) -> str:
    """Name the family ``a x^exponent + b``."""
    return f"{POWER}:{exponent!r}"


def exponent_of(family: str) -> float | None:
    """Return the exponent of a power family, None for any other; raise `InputError` if bad."""
    kind, colon, text = family.partition(":")
    if kind != POWER:
        return None
    try:
        exponent = float(text)
    except ValueError:
        exponent = math.nan
    if not colon or not math.isfinite(exponent) or exponent == 0:
        raise InputError.at(
            "family", f"is {family!r}; name the exponent, a number other than 0: power:-0.75"
        )
    return exponent


def family_size(family: str, layers: int = 0) -> int:
    """Return the number of coefficients of a family.

    Parameters
    ----------
    family
        Its name.
    layers
        L, the number of values of a family of `TABULATED`; without it 0 is given for those.

    Raises
    ------
    InputError
        There is no such family.
    """
    if family in FAMILIES:
        return FAMILIES[family]
    if family in TABULATED:
        return layers
    if exponent_of(family) is None:
        raise InputError.at("family", f"is {family!r}; choose from {KNOWN}")
    return 2


def curve_value(family: str, coefficients: Any, cut: Any, xp: Any = np) -> Any:
    """Evaluate curves of one family at cuts that need not be integers (``x > 0``).

    Parameters
    ----------
    family
        ``linear`` is ``a x + b``, ``quadratic`` ``a x^2 + b x + c``, ``reciprocal`` ``a / x + b``,
        ``logarithmic`` ``a log(x) + b`` and ``power:p`` ``a x^p + b``; ``piecewise`` and
        ``isotonic`` are the values at the cuts 1 to L, with lines between. All are linear in
        their coefficients.
    coefficients
        Shape (..., k), an array of the namespace `xp`.
    cut
        The cuts x; their shape is broadcast against the leading axes of `coefficients`.
    xp
        The array namespace, `numpy` or `jax.numpy`.
    """
    if family in TABULATED:
        return interpolated(coefficients, cut, xp)
    size = family_size(family)
    first, *rest = (coefficients[..., k] for k in range(size))
    if family == "linear":
        return first * cut + rest[0]
    if family == "quadratic":
        return (first * cut + rest[0]) * cut + rest[1]
    if family == "reciprocal":
        return first / cut + rest[0]
    if family == "logarithmic":
        return first * xp.log(cut) + rest[0]
    return first * cut ** exponent_of(family) + rest[0]


def interpolated(table: Any, cut: Any, xp: Any = np) -> Any:
    """Return the values of a table (..., L) on the lines between its integer cuts 1 to L.

    The shape of `cut` is broadcast against the leading axes of `table`.
    """
    last = table.shape[-1]
    shape = np.broadcast_shapes(xp.shape(cut), table.shape[:-1])
    table = xp.broadcast_to(table, (*shape, last))
    left = xp.clip(xp.floor(cut), 1, max(last - 1, 1))
    weight = cut - left
    column = xp.broadcast_to(left, shape)[..., None].astype(int) - 1
    low = xp.take_along_axis(table, column, axis=-1)[..., 0]
    high = xp.take_along_axis(table, xp.minimum(column + 1, last - 1), axis=-1)[..., 0]
    return low * (1 - weight) + high * weight


@dataclass(frozen=True)
class Curve:
    """A quantity as a function of a cut that need not be an integer.

    Parameters
    ----------
    family
        ``linear``: ``a x + b``; ``quadratic``: ``a x^2 + b x + c``; ``reciprocal``: ``a / x + b``;
        ``logarithmic``: ``a log(x) + b``; ``power:p``: ``a x^p + b``; ``piecewise`` and
        ``isotonic``: the values at the cuts 1 to L, with straight lines between.
    coefficients
        ``(a, b)``, ``(a, b, c)`` or the values, in the unit of the table column that the curve
        belongs to.

    Notes
    -----
    The value is the bare regression. It may be negative where the fit is poor; the table of the
    profile that holds the curve is clipped at zero, the curve is not.
    """

    family: str
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.family, str):
            raise InputError.at("family", f"is {self.family!r}; choose from {KNOWN}")
        expected = family_size(self.family)
        values: Any = self.coefficients
        if isinstance(values, str) or not isinstance(values, Sequence):
            values = ()
        if len(values) != (expected or max(len(values), 1)):
            raise InputError.at(
                "coefficients", f"a {self.family} curve has {expected or 'at least 1'} numbers"
            )
        numbers = tuple(
            expect_number(value, f"coefficients[{index}]") for index, value in enumerate(values)
        )
        object.__setattr__(self, "coefficients", numbers)

    def __call__(self, cut: npt.ArrayLike) -> Array:
        """Evaluate at one cut or many (``x > 0``); the answer has the shape of `cut`."""
        x = np.asarray(cut, dtype=np.float64)
        return np.asarray(curve_value(self.family, np.array(self.coefficients), x))

    def scaled(self, factor: float) -> Curve:
        """Return the curve of `factor` times the quantity."""
        return Curve(self.family, tuple(factor * value for value in self.coefficients))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"family": self.family, "coefficients": list(self.coefficients)}

    @classmethod
    def from_dict(cls, document: Any, field: str) -> Curve:
        """Read what `to_dict` wrote; raise `InputError` that starts with `field` otherwise."""
        found = expect_keys(document, field, ("family", "coefficients"))
        try:
            return cls(found["family"], found["coefficients"])
        except InputError as error:
            raise InputError(f"{field}.{error}") from None


def check_curves(
    curves: Mapping[str, Curve], columns: Sequence[str], layers: int
) -> dict[str, Curve]:
    """Return a copy of a profile's curves; reject those of no column or of other layers."""
    for name, curve in curves.items():
        if name not in columns:
            raise InputError.at("curves", f"{shown(name)} is not one of {', '.join(columns)}")
        if curve.family in TABULATED and len(curve.coefficients) != layers:
            raise InputError.at(
                f"curves.{name}",
                f"has {len(curve.coefficients)} values, but there are {layers} "
                f"layers; a {curve.family} curve has one each",
            )
    return dict(curves)
