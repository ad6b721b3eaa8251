"""Continuous regression curves of the cut, as papers print them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.profiles.fields import Array, expect_keys

FAMILIES = {"linear": 2, "quadratic": 3, "reciprocal": 2, "logarithmic": 2}
"""The families of curves and the number of coefficients of each."""


def curve_value(family: str, coefficients: Any, cut: Any, xp: Any = np) -> Any:
    """Evaluate curves of one family at cuts that need not be integers (``x > 0``).

    Parameters
    ----------
    family
        One of `FAMILIES`: ``linear`` is ``a x + b``, ``quadratic`` ``a x^2 + b x + c``,
        ``reciprocal`` ``a / x + b`` and ``logarithmic`` ``a log(x) + b``.
    coefficients
        Shape (..., k), an array of the namespace `xp`.
    cut
        The cuts x; their shape is broadcast against the leading axes of `coefficients`.
    xp
        The array namespace, `numpy` or `jax.numpy`.
    """
    first, *rest = (coefficients[..., k] for k in range(FAMILIES[family]))
    if family == "linear":
        return first * cut + rest[0]
    if family == "quadratic":
        return (first * cut + rest[0]) * cut + rest[1]
    if family == "reciprocal":
        return first / cut + rest[0]
    return first * xp.log(cut) + rest[0]


@dataclass(frozen=True)
class Curve:
    """A quantity as a function of a cut that need not be an integer.

    Parameters
    ----------
    family
        ``linear``: ``a x + b``; ``quadratic``: ``a x^2 + b x + c``; ``reciprocal``: ``a / x + b``;
        ``logarithmic``: ``a log(x) + b``.
    coefficients
        ``(a, b)`` or ``(a, b, c)``, in the unit of the table column that the curve belongs to.

    Notes
    -----
    The value is the bare regression. It may be negative where the fit is poor; the table of the
    profile that holds the curve is clipped at zero, the curve is not.
    """

    family: str
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError.at("family", f"is {self.family!r}; choose from {', '.join(FAMILIES)}")
        expected = FAMILIES[self.family]
        values: Any = self.coefficients
        if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != expected:
            raise InputError.at("coefficients", f"a {self.family} curve has {expected} numbers")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InputError.at("coefficients", f"{value!r} is not a number")
            if not math.isfinite(value):
                raise InputError.at("coefficients", f"{value} is not finite")
        object.__setattr__(self, "coefficients", tuple(float(value) for value in values))

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
