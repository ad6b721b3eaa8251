"""What every distribution can do: give quantiles, its mean value, and its parameters as data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError, shown

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LEAST, MOST = 2.0**-54, 1.0 - 2.0**-53
"""No uniform number lies outside: the ends of every quantity that is drawn."""


class Distribution(ABC):
    """One quantity of N devices, each with parameters of its own or all with the same.

    Subclasses are frozen dataclasses. A parameter is a number or an array of shape (N,); all arrays
    of one distribution have the same length. Draws are made from uniform numbers by `quantile`, so
    that the same uniform numbers give comparable draws of different distributions: common random
    numbers.
    """

    kind: ClassVar[str]

    @abstractmethod
    def quantile(self, u: FloatArray) -> FloatArray:
        """Return the values, shape (..., N), that uniform numbers of that shape stand for."""

    @abstractmethod
    def expectation(self) -> FloatArray:
        """Return the mean value, of the shape of the parameters."""

    @abstractmethod
    def reaches_zero(self) -> BoolArray:
        """Return where 1/x has no finite mean because values come too close to 0, or below it."""

    def ends(self, devices: int) -> tuple[FloatArray, FloatArray]:
        """Return the least and the largest values that can be drawn, shape (N,) each.

        Without limits of its own a normal quantity has the ends of the uniform numbers that it is
        drawn from, about 8 standard deviations from its mean.
        """
        shape = (devices,)
        return self.quantile(np.full(shape, LEAST)), self.quantile(np.full(shape, MOST))

    def atoms(self, devices: int) -> list[FloatArray] | None:
        """Return the equally likely values of every device, or None where there is no such list."""
        del devices
        return None

    @property
    def devices(self) -> int | None:
        """Length of the parameters, None where all devices share them."""
        sizes = [np.size(getattr(self, f.name)) for f in fields(self) if self.varies(f.name)]  # type: ignore[arg-type]
        return sizes[0] if sizes else None

    def varies(self, name: str) -> bool:
        """Whether a parameter is an array with an entry per device."""
        return np.ndim(getattr(self, name)) == 1

    def to_data(self) -> dict[str, Any]:
        """Return ``kind`` and the parameters as JSON-ready data; infinite limits are left out."""
        found: dict[str, Any] = {"kind": self.kind}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                if np.isinf(value).all():
                    continue
                value = value.tolist()
            found[field.name] = value
        return found


def read_parameters(owner: Distribution, *names: str, unbounded: tuple[str, ...] = ()) -> None:
    """Turn parameters of a frozen dataclass into read-only arrays and check that they fit together.

    Those in `unbounded` may be infinite. Raises `InputError` for what is not a number.
    """
    lengths = set()
    for name in names:
        value = getattr(owner, name)
        try:
            wrong = isinstance(value, bool | str) or np.ndim(value) > 1
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            wrong = True
        if wrong:
            raise InputError.at(name, f"is {shown(value)}, it must be a number or one per device")
        if np.isnan(array).any() or (name not in unbounded and np.isinf(array).any()):
            raise InputError.at(name, "holds a number that is not finite")
        if array.ndim:
            lengths.add(array.size)
        array.setflags(write=False)
        object.__setattr__(owner, name, array)
    if len(lengths) > 1 or 0 in lengths:
        raise InputError(f"the parameters have {sorted(lengths)} entries; they need one per device")


def require(condition: BoolArray, name: str, array: FloatArray, problem: str) -> None:
    """Raise `InputError` naming the first entry of a parameter that does not meet a condition."""
    bad = np.broadcast_arrays(~condition, array)[0]
    if not bad.any():
        return
    if bad.ndim == 0:
        raise InputError.at(name, f"is {float(array):g}, {problem}")
    first = int(np.flatnonzero(bad)[0])
    value = float(np.broadcast_to(array, bad.shape)[first])
    raise InputError.at(f"{name}[{first}]", f"is {value:g}, {problem}")
