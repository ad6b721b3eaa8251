"""How large and how small the numbers of a problem may be, so that all sums can be represented.

A float ends at 1.8e308. What is built of numbers beyond these limits could be infinite, or lose
what it is compared with; it is refused with the name of the number instead.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.base import FloatArray

MOST = 1e300
"""The largest number that a problem takes."""
LEAST = 1e-305
"""The smallest one above 0, where numbers are divided by each other."""
SPAN = 1e150
"""How many times the largest of such numbers may be the smallest one above 0: a square stays
finite."""
MOST_TOTAL = 1e306
"""The largest value that a sum over a whole problem may have."""
MOST_FACTOR = 1e100
"""The largest price, power or priority; the smallest one above 0 is its inverse."""


def check_total(total: float, what: str) -> None:
    """Raise `InputError` where the sum of a problem's times could not be represented."""
    if not total <= MOST_TOTAL:
        raise InputError(
            f"{what} add up to more than {MOST_TOTAL:g}, which no objective can hold: give smaller "
            "numbers, or another unit"
        )


def check_span(tables: Mapping[str, FloatArray]) -> None:
    """Raise `InputError` where times differ by so much that their ratios overflow.

    Parameters
    ----------
    tables
        Name of the field -> numbers >= 0, of any shape; zeros count for nothing.
    """
    with_entries = {name: table for name, table in tables.items() if table.size}
    largest = max((float(table.max()) for table in with_entries.values()), default=0.0)
    limit = max(LEAST, largest / SPAN)
    for name, table in with_entries.items():
        short = (table > 0) & (table < limit)
        if short.any():
            place = tuple(int(i) for i in np.argwhere(short)[0])
            where = name + "".join(f"[{i}]" for i in place)
            raise InputError.at(
                where,
                f"is {table[place]:g}, and the largest of all times is {largest:g}: one that short "
                f"must be 0, or at least {limit:g}",
            )


def check_factor(value: FloatArray | float, source: str) -> None:
    """Raise `InputError` for a price, power or priority that times could not be multiplied with."""
    table = np.asarray(value, dtype=np.float64)
    odd = (table > MOST_FACTOR) | ((table > 0) & (table < 1 / MOST_FACTOR))
    if odd.any():
        place = tuple(int(i) for i in np.argwhere(odd)[0])
        where = source + "".join(f"[{i}]" for i in place)
        raise InputError.at(
            where,
            f"is {table[place]:g}, it must be 0 or from {1 / MOST_FACTOR:g} to {MOST_FACTOR:g}",
        )
