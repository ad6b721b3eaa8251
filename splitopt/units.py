"""Quantities as people write them, turned to SI numbers once, at the edge.

Information (bit, byte) and work (FLOP, MAC) are dimensions of their own here, so that ``100 MHz``
is not a rate and ``3 GFLOP`` is not a speed. Work is counted in FLOP with 1 MAC = 2 FLOP.
Decibels have no place in this module: they are explicit fields of a scenario.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from splitopt.documents.checks import is_number
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown

_DEFINITIONS = """
nano- = 1e-9 = n-
micro- = 1e-6 = µ- = u-
milli- = 1e-3 = m-
kilo- = 1e3 = k-
mega- = 1e6 = M-
giga- = 1e9 = G-
tera- = 1e12 = T-
peta- = 1e15 = P-
kibi- = 1024 = Ki-
mebi- = 1048576 = Mi-
gibi- = 1073741824 = Gi-
tebi- = 1099511627776 = Ti-
second = [time] = s = sec
minute = 60 second = min
hour = 3600 second = h
hertz = [frequency] = Hz
joule = [energy] = J
watt = joule / second = W
bit = [information] = b
byte = 8 bit = B
flop = [work] = FLOP
mac = 2 flop = MAC
flops = flop / second = FLOPS
bps = bit / second
""".strip().splitlines()


@dataclass(frozen=True)
class Kind:
    """What a quantity measures.

    Its name, its SI unit here, an example, the units in which it is mostly stated (the first one is
    proposed for a number without a unit), and prefixes to print.
    """

    name: str
    unit: str
    example: str
    usual: tuple[str, ...]
    prefixes: tuple[str, ...] = ("", "k", "M", "G", "T")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("rate", "bit/s", "100 Mbit/s", ("Mbit/s", "kbit/s", "Gbit/s", "MB/s", "GB/s")),
        Kind(
            "size",
            "B",
            "4 GiB",
            ("GiB", "MiB", "KiB", "GB", "MB", "kB"),
            ("", "Ki", "Mi", "Gi", "Ti", "k", "M", "G", "T"),
        ),
        Kind(
            "compute speed",
            "FLOP/s",
            "3.62 GFLOP/s",
            ("GFLOP/s", "MFLOP/s", "TFLOP/s", "GMAC/s", "GFLOPS", "TFLOPS"),
        ),
        Kind("work", "FLOP", "0.69 GFLOP", ("GFLOP", "MFLOP", "TFLOP", "GMAC", "MMAC")),
        Kind("time", "s", "20 ms", ("ms", "s", "us", "min", "h"), ("", "m", "u")),
        Kind("power", "W", "0.2 W", ("W", "mW", "kW"), ("", "m", "k")),
        Kind("bandwidth", "Hz", "20 MHz", ("MHz", "kHz", "GHz")),
        Kind("noise density", "W/Hz", "4e-21 W/Hz", ("W/Hz", "mW/Hz"), ("",)),
    )
}

_TEXT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf))\s*(.*?)\s*$")
_MILLI = re.compile(
    r"(?<![A-Za-z])m(bit|bits|bps|b|B|byte|bytes|FLOPS?|flops?|MACs?|Hz)(?![A-Za-z])"
)
_OPERATIONS = re.compile(r"[kMGTP]?OPS?(/s)?$", re.IGNORECASE)
_SEPARATED = re.compile(r"[-+]?\d[\d.]*[,_' ]\d")


MOST_NAMES = 5
"""Of a list in a sentence."""


def some_names(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def counted(count: int, thing: str, things: str | None = None) -> str:
    """Write how many there are of something, by default with an s for all but one.

    >>> counted(1, "round"), counted(2000, "round"), counted(2, "batch", "batches")
    ('1 round', '2,000 rounds', '2 batches')
    """
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def parse(value: Any, kind: str) -> float:
    """Turn ``"50 Mbit/s"`` into 5e7.

    Parameters
    ----------
    value
        A text of a number and a unit. Anything else is refused: a bare number has no unit.
    kind
        A key of `KINDS`, which fixes the dimension and the SI unit of the answer.

    Raises
    ------
    InputError
        No number, no unit, an unknown unit, a unit of another dimension, a milli where nobody has
        one (``100 mbit/s``), or NaN and infinity.
    """
    known = KINDS[kind]
    if not isinstance(value, str):
        if is_number(value):
            raise InputError(f"{shown(value)} has no unit; {_proposal(value, known)}")
        raise InputError(f"{shown(value)} is not a {known.name}; {_example(known)}")
    match = _TEXT.match(value) if len(value) <= 64 else None
    if _SEPARATED.match(value.strip()):
        raise InputError(
            f"{shown(value)}: write the number without separators and with a point for decimals, "
            f"as in {known.example!r}"
        )
    if match is None:
        raise InputError(f"{shown(value, 70)} is not a number with a unit; {_example(known)}")
    number, unit = float(match[1]), match[2]
    if not math.isfinite(number):
        raise InputError(f"{value!r} is not a finite number; {_example(known)}")
    if not unit:
        raise InputError(f"{value!r} has no unit; {_proposal(match[1], known)}")
    if milli := _MILLI.search(unit):
        letters = ("MB", "Mb") if milli[1] == "b" else ("M" + milli[1],)
        meant = " or ".join(
            repr(f"{match[1]} {unit[: milli.start()]}{mega}{unit[milli.end() :]}")
            for mega in letters
        )
        raise InputError(f"{value!r} has m for milli (1e-3); for mega write {meant}")
    result = number * _factor(unit, kind, value)
    if not math.isfinite(result):
        raise InputError(f"{value!r} is too large for a floating-point number")
    return result


def render(value: float, kind: str) -> str:
    """Write an SI number so that `parse` gives exactly the same number back.

    >>> render(1e8, "rate")
    '100 Mbit/s'
    """
    known = KINDS[kind]
    candidates = []
    for prefix in known.prefixes:
        unit = prefix + known.unit
        factor = _factor(unit, kind, unit)
        number = float(f"{value / factor:.12g}")
        if number * factor == value:
            candidates.append((abs(number) < 1, len(f"{number:.12g}"), f"{number:.12g} {unit}"))
    return min(candidates)[2] if candidates else f"{value!r} {known.unit}"


def readable_bytes(value: float) -> str:
    """Write a number of bytes for people: four digits and a unit that keeps it short.

    >>> readable_bytes(3.2e9), readable_bytes(512.0)
    ('3.2 GB', '512 byte')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g} byte"


def readable_rate(value: float) -> str:
    """Write a rate in bit/s for people: four digits and a unit that keeps it short.

    >>> readable_rate(1e8), readable_rate(2.5e9)
    ('100 Mbit/s', '2.5 Gbit/s')
    """
    for unit, size in (("Tbit/s", 1e12), ("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g} bit/s"


def readable_work(value: float) -> str:
    """Write an amount of work in FLOP for people: four digits and a unit that keeps it short.

    >>> readable_work(8.746e13), readable_work(512.0)
    ('87.46 TFLOP', '512 FLOP')
    """
    for unit, size in (("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9), ("MFLOP", 1e6)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g} FLOP"


@cache
def _registry() -> Any:
    """Build the registry at first use: nothing is imported or parsed before."""
    import pint

    registry: Any = pint.UnitRegistry(None, on_redefinition="raise")
    for line in _DEFINITIONS:
        registry.define(line)
    return registry


def _factor(unit: str, kind: str, value: str) -> float:
    """Return the number of SI units of `kind` in one `unit`."""
    found = _factor_or_reason(unit, kind)
    if isinstance(found, str):
        raise InputError(f"{value!r}: {found}")
    return found


@cache
def _factor_or_reason(unit: str, kind: str) -> float | str:
    """Return the factor of a unit, once for all values that have it, or why there is none."""
    known = KINDS[kind]
    registry = _registry()
    if _OPERATIONS.match(unit):
        return (
            f"{unit!r} counts integer operations at the peak, and training takes floating-point "
            "ones; state the FLOP/s that you measure ('splitopt profile --measure') or find on the "
            f"data sheet, such as {known.example!r}"
        )
    try:
        found = registry.parse_units(unit)
    except Exception:
        hint = did_you_mean(unit, known.usual)
        return f"the unit {unit!r} is unknown{hint or '; ' + _example(known)}"
    wanted = registry.parse_units(known.unit)
    if found.dimensionality != wanted.dimensionality:
        return f"{unit!r} is not a unit of {known.name}; {_example(known)}"
    return float(registry.Quantity(1.0, found).to(wanted).magnitude)


def _example(known: Kind) -> str:
    return f"write it as for example {known.example!r}"


def _proposal(number: Any, known: Kind) -> str:
    """Return how a number without a unit is written, for the unit that is most often meant."""
    size = float(number) if isinstance(number, str) or abs(number) < 1e300 else math.inf
    if 1e5 <= size < 1e30:  # a number of SI units rather than of the usual ones
        return f"write it with one, as in {render(size, known.name)!r}"
    text = f"{size:g}" if size < 1e30 else "1"
    return f"write it with one, as in '{text} {known.usual[0]}'"
