"""Checks of single values: numbers, whole numbers, and words out of a list.

A truth value is no number here, although Python counts ``True`` as 1. The functions ``is_...`` only
answer, for callers with messages of their own; the functions ``check_...`` raise one sentence with
field, value and mend.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, TypeGuard

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown

LARGEST_WHOLE = 2**63 - 1
"""No count goes further; a seed may be larger."""


def is_number(value: Any) -> TypeGuard[int | float]:
    """Report whether a value is a number of Python's, finite or not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: Any) -> TypeGuard[int | float]:
    """Report whether a value is a finite number of Python's that a float can hold."""
    return is_number(value) and math.isfinite(as_float(value))


def is_whole(value: Any, least: int | None = None) -> TypeGuard[int]:
    """Report whether a value is an integer of Python's, of at least `least` if that is given."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return least is None or value >= least


def is_real(value: Any) -> TypeGuard[float]:
    """Report whether a value is a real number, of Python's or of numpy's."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_integer(value: Any) -> TypeGuard[int]:
    """Report whether a value is an integer, of Python's or of numpy's."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def as_float(value: Any) -> float:
    """Return a real number as a float, infinity where it is beyond the largest float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def as_whole(value: Any) -> int | None:
    """Return the integer that a value is, also of a float like 2.0; None for any other value."""
    if is_integer(value) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return None


def check_seed(value: Any) -> None:
    """Check that a seed is a whole number of at least 0, of any size."""
    if not is_whole(value, 0):
        raise InputError.at("seed", f"is {shown(value)}, it must be a whole number >= 0")


def check_whole(name: str, value: Any, least: int, most: int = LARGEST_WHOLE) -> None:
    """Check that an option is a whole number from `least` to `most`."""
    if not is_whole(value, least):
        raise InputError.at(name, f"is {shown(value)}, it must be an integer >= {least}")
    if value > most:
        raise InputError.at(name, f"is {shown(value)}, it must be an integer <= {most}")


def check_number(name: str, value: Any, least: float, most: float) -> None:
    """Check that an option is a number in the closed interval from `least` to `most`."""
    if not (is_finite(value) and least <= value <= most):
        raise InputError.at(
            name, f"is {shown(value)}, it must be a number from {least:g} to {most:g}"
        )


def check_positive(name: str, value: Any, most: float = math.inf) -> None:
    """Check that an option is a finite number above 0 and at most `most`."""
    if not (is_finite(value) and 0 < value <= most):
        limit = "" if most == math.inf else f" and at most {most:g}"
        raise InputError.at(name, f"is {shown(value)}, it must be a number above 0{limit}")


def check_choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Check that an option is one of the known words."""
    if not isinstance(value, str) or value not in known:
        raise InputError.at(
            name,
            f"is {shown(value)}, it must be one of {', '.join(known)}{did_you_mean(value, known)}",
        )
