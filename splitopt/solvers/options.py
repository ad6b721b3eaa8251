"""Checks of hyper-parameters: every refusal is one sentence with field, value and mend."""

from __future__ import annotations

import math
from typing import Any

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown

LARGEST_WHOLE = 2**63 - 1
"""No hyper-parameter counts further; a seed may be larger."""


MOST_AT_ONCE = 100_000
"""Chains, members of a population or workers that are kept at once; more would fill the memory."""


def check_seed(value: Any) -> None:
    """Check that a seed is a whole number of at least 0, of any size."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError.at("seed", f"is {shown(value)}, it must be a whole number >= 0")


def check_whole(name: str, value: Any, least: int, most: int = LARGEST_WHOLE) -> None:
    """Check that a hyper-parameter is a whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError.at(name, f"is {shown(value)}, it must be an integer >= {least}")
    if value > most:
        raise InputError.at(name, f"is {shown(value)}, it must be an integer <= {most}")


def check_number(name: str, value: Any, least: float, most: float) -> None:
    """Check that a hyper-parameter is a number in the closed interval from `least` to `most`."""
    if not (is_number(value) and least <= value <= most):
        raise InputError.at(
            name, f"is {shown(value)}, it must be a number from {least:g} to {most:g}"
        )


def check_positive(name: str, value: Any, most: float = math.inf) -> None:
    """Check that a hyper-parameter is a finite number above 0 and at most `most`."""
    if not (is_number(value) and 0 < value <= most):
        limit = "" if most == math.inf else f" and at most {most:g}"
        raise InputError.at(name, f"is {shown(value)}, it must be a number above 0{limit}")


def is_number(value: Any) -> bool:
    """Report whether a value is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def check_choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Check that a hyper-parameter is one of the known words."""
    if not isinstance(value, str) or value not in known:
        raise InputError.at(
            name,
            f"is {shown(value)}, it must be one of {', '.join(known)}{did_you_mean(value, known)}",
        )


def too_many(count: int, what: str, option: str, most: int) -> str | None:
    """Refuse to enumerate more than an option allows, with the price; None where it allows it."""
    if count <= most:
        return None
    size = f"{count:,}" if count < 10**15 else f"about 10^{int(math.log10(count))}"
    return f"would have to try {size} {what}, more than its limit of {option} = {most:,}"
