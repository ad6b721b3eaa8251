"""The distributions: constant, normal, lognormal, uniform and empirical."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from splitopt.distributions.base import (
    BoolArray,
    Distribution,
    FloatArray,
    read_parameters,
    require,
)
from splitopt.errors import InputError, shown

OUTSIDE = ("redraw", "clip")


@dataclass(frozen=True, eq=False)
class Constant(Distribution):
    """Always the same `value`."""

    kind: ClassVar[str] = "constant"

    value: Any

    def __post_init__(self) -> None:
        read_parameters(self, "value")

    def quantile(self, u: FloatArray) -> FloatArray:
        """Return the value, whatever `u` is."""
        return np.broadcast_to(self.value, np.shape(u)).copy()

    def expectation(self) -> FloatArray:
        """Return the value."""
        return np.asarray(self.value)

    def atoms(self, devices: int) -> list[FloatArray]:
        """Return the one value of every device."""
        return [np.array([value]) for value in np.broadcast_to(self.value, devices)]

    def reaches_zero(self) -> BoolArray:
        """Whether the value is not above 0."""
        return np.asarray(self.value <= 0)


@dataclass(frozen=True, eq=False)
class Normal(Distribution):
    """Normal with `mean` and `std` (both before truncation), kept between `low` and `high`.

    ``outside`` says how: ``"redraw"`` takes the distribution under the condition that the value
    lies between the limits; ``"clip"`` moves what lies outside onto the limit.
    """

    kind: ClassVar[str] = "normal"

    mean: Any
    std: Any
    low: Any = -np.inf
    high: Any = np.inf
    outside: Literal["redraw", "clip"] = "redraw"

    def __post_init__(self) -> None:
        read_parameters(self, "mean", "std", "low", "high", unbounded=("low", "high"))
        _check_limits(self)

    def quantile(self, u: FloatArray) -> FloatArray:
        """Return the truncated quantile, by the tail that is nearer so that no digits are lost."""
        return _between(self, u)

    def expectation(self) -> FloatArray:
        """Return the mean after truncation."""
        return _truncated_mean(self)

    def reaches_zero(self) -> BoolArray:
        """Whether no limit keeps values away from 0."""
        return np.asarray(self.low <= 0)


@dataclass(frozen=True, eq=False)
class Lognormal(Distribution):
    """Lognormal with `mean` and `std`, both of the quantity itself.

    There is no probability near 0, and 1/x has a finite mean.
    """

    kind: ClassVar[str] = "lognormal"

    mean: Any
    std: Any

    def __post_init__(self) -> None:
        read_parameters(self, "mean", "std")
        require(self.mean > 0, "mean", self.mean, "the mean of a lognormal is above 0")
        require(self.std >= 0, "std", self.std, "it must be >= 0")

    @property
    def log_variance(self) -> FloatArray:
        """Variance of the logarithm."""
        return np.asarray(np.log1p((self.std / self.mean) ** 2))

    def quantile(self, u: FloatArray) -> FloatArray:
        """Return exp of a normal quantile."""
        from scipy.special import ndtri

        variance = self.log_variance
        return np.asarray(self.mean * np.exp(np.sqrt(variance) * ndtri(u) - variance / 2))

    def expectation(self) -> FloatArray:
        """Return the mean."""
        return np.asarray(self.mean)

    def reaches_zero(self) -> BoolArray:
        """Never."""
        return np.zeros(np.shape(self.mean + self.std), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Uniform(Distribution):
    """Uniform between `low` and `high`."""

    kind: ClassVar[str] = "uniform"

    low: Any
    high: Any

    def __post_init__(self) -> None:
        read_parameters(self, "low", "high")
        require(self.low <= self.high, "high", self.high, "it must not be below 'low'")

    def quantile(self, u: FloatArray) -> FloatArray:
        """Return low + u (high - low)."""
        return np.asarray(self.low + u * (self.high - self.low))

    def expectation(self) -> FloatArray:
        """Return the middle."""
        return np.asarray((self.low + self.high) / 2)

    def reaches_zero(self) -> BoolArray:
        """Whether the interval reaches 0."""
        return np.asarray((self.low <= 0) & (self.high >= self.low))


@dataclass(frozen=True, eq=False)
class Empirical(Distribution):
    """One of the given values, each with the same probability, drawn for each device by itself.

    ``values`` has shape (R,), the same values for all devices, or (R, N), a column per device.
    Rounds in which all devices were measured together belong into a `Trace` instead.
    """

    kind: ClassVar[str] = "empirical"

    values: Any

    def __post_init__(self) -> None:
        try:
            array = np.array(self.values, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError.at("values", "must be numbers") from None
        if array.ndim not in (1, 2) or array.size == 0:
            raise InputError.at(
                "values", "must be a list of numbers, or a table with devices as columns"
            )
        if not np.isfinite(array).all():
            raise InputError.at("values", "holds a number that is not finite")
        array = np.sort(array, axis=0)  # so that a quantile is one
        array.setflags(write=False)
        object.__setattr__(self, "values", array)

    @property
    def devices(self) -> int | None:
        """Number of columns, None where all devices share the values."""
        return self.values.shape[1] if self.values.ndim == 2 else None

    def quantile(self, u: FloatArray) -> FloatArray:
        """Return the value whose rank is u."""
        rank = np.minimum((u * len(self.values)).astype(np.int64), len(self.values) - 1)
        if self.values.ndim == 1:
            return np.asarray(self.values[rank])
        return np.asarray(self.values[rank, np.arange(self.values.shape[1])])

    def expectation(self) -> FloatArray:
        """Return the average."""
        return np.asarray(self.values.mean(axis=0))

    def atoms(self, devices: int) -> list[FloatArray]:
        """Return the values of every device."""
        table = self.values if self.values.ndim == 2 else self.values[:, None]
        return list(np.broadcast_to(table, (len(table), devices)).T)

    def reaches_zero(self) -> BoolArray:
        """Whether a value is not above 0."""
        return np.asarray((self.values <= 0).any(axis=0))


def _check_limits(owner: Normal) -> None:
    require(owner.std >= 0, "std", owner.std, "it must be >= 0")
    require(owner.low < owner.high, "high", owner.high, "it must be above 'low'")
    if not isinstance(owner.outside, str) or owner.outside not in OUTSIDE:
        raise InputError.at("outside", f"is {shown(owner.outside)}, it must be 'redraw' or 'clip'")
    if owner.outside == "redraw":
        inside = (owner.std > 0) | ((owner.low <= owner.mean) & (owner.mean <= owner.high))
        require(inside, "mean", owner.mean, "it lies outside the limits and 'std' is 0")
        reach = np.where(owner.std > 0, 30 * owner.std, 0.0)
        near = (owner.low <= owner.mean + reach) & (owner.high >= owner.mean - reach)
        require(near, "mean", owner.mean, "the limits are more than 30 'std' away from it")


def _standardised(owner: Normal) -> tuple[FloatArray, FloatArray]:
    """Limits in units of std; std 0 is a constant, whose limits do not matter."""
    std = np.where(owner.std > 0, owner.std, 1.0)
    always = owner.std == 0
    low = np.where(always, -np.inf, (owner.low - owner.mean) / std)
    high = np.where(always, np.inf, (owner.high - owner.mean) / std)
    return low, high


def _between(owner: Normal, u: FloatArray) -> FloatArray:
    from scipy.special import ndtr, ndtri

    if owner.outside == "clip":
        return np.asarray(np.clip(owner.mean + owner.std * ndtri(u), owner.low, owner.high))
    low, high = _standardised(owner)
    # In the upper tail probabilities round to 1: mirror the distribution and take the lower tail.
    mirrored = low > 0
    a, b = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    p = np.where(mirrored, 1.0 - u, u)
    below, above = ndtr(a), ndtr(b)
    z = np.clip(ndtri(below + p * (above - below)), a, b)
    value = owner.mean + owner.std * np.where(mirrored, -z, z)
    return np.asarray(np.clip(value, owner.low, owner.high))


def _truncated_mean(owner: Normal) -> FloatArray:
    from scipy.special import ndtr

    low, high = _standardised(owner)

    def density(z: FloatArray) -> FloatArray:
        finite = np.clip(z, -40, 40)
        with np.errstate(under="ignore"):  # far out the density is 0
            return np.asarray(np.exp(-(finite**2) / 2) / np.sqrt(2 * np.pi))

    mirrored = low > 0
    a, b = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    mass = ndtr(b) - ndtr(a)
    sign = np.where(mirrored, -1.0, 1.0)
    if owner.outside == "redraw":
        shift = sign * (density(a) - density(b)) / mass
        return np.asarray(owner.mean + owner.std * shift)
    inner = owner.mean * mass + owner.std * sign * (density(a) - density(b))
    ends = (
        np.where(np.isinf(owner.low), 0.0, owner.low),
        np.where(np.isinf(owner.high), 0.0, owner.high),
    )
    clipped = inner + ends[0] * ndtr(low) + ends[1] * ndtr(-high)
    held = np.clip(owner.mean, owner.low, owner.high)
    return np.asarray(np.where(owner.std > 0, clipped, held))
