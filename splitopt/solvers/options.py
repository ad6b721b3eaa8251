"""Checks of hyper-parameters: every refusal is one sentence with field, value and mend."""

from __future__ import annotations

import math
from typing import Any

from splitopt.errors import InputError


def check_whole(name: str, value: Any, least: int) -> None:
    """Check that a hyper-parameter is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError.at(name, f"is {value!r}, it must be an integer >= {least}")


def check_number(name: str, value: Any, least: float, most: float) -> None:
    """Check that a hyper-parameter is a number in the closed interval from `least` to `most`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and least <= value <= most):
        raise InputError.at(name, f"is {value!r}, it must be a number from {least:g} to {most:g}")


def check_positive(name: str, value: Any, most: float = math.inf) -> None:
    """Check that a hyper-parameter is a finite number above 0 and at most `most`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and 0 < value <= most):
        limit = "" if most == math.inf else f" and at most {most:g}"
        raise InputError.at(name, f"is {value!r}, it must be a number above 0{limit}")


def check_choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Check that a hyper-parameter is one of the known words."""
    if value not in known:
        raise InputError.at(name, f"is {value!r}, it must be one of {', '.join(known)}")


def too_many(count: int, what: str, option: str, most: int) -> str | None:
    """Refuse to enumerate more than an option allows, with the price; None where it allows it."""
    if count <= most:
        return None
    size = f"{count:,}" if count < 10**15 else f"about 10^{int(math.log10(count))}"
    return f"would have to try {size} {what}, more than its limit of {option} = {most:,}"
