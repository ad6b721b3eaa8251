"""Limits of what solvers try or keep; the checks of their options are those of all documents."""

from __future__ import annotations

import math

MOST_AT_ONCE = 100_000
"""Chains, members of a population or workers that are kept at once; more would fill the memory."""


def too_many(count: int, what: str, option: str, most: int) -> str | None:
    """Reject to enumerate more than an option allows, with the price; None where it allows it."""
    if count <= most:
        return None
    size = f"{count:,}" if count < 10**15 else f"about 10^{int(math.log10(count))}"
    return f"would have to try {size} {what}, more than its limit of {option} = {most:,}"
