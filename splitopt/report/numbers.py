"""How numbers are written for people."""

from __future__ import annotations

_UNITS = (("years", 365 * 86_400.0), ("days", 86_400.0), ("h", 3600.0), ("min", 60.0))


def seconds(value: float) -> str:
    """Write a time in s with about five significant digits.

    >>> seconds(36020.7), seconds(2.34567), seconds(0.000123456), seconds(0.0)
    ('36,021', '2.346', '0.0001235', '0')
    """
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e7 or size < 1e-4:
        return f"{value:.4g}"
    if size >= 1e4:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:,.1f}"
    if size >= 1:
        return f"{value:.3f}"
    return f"{value:.4g}"


def duration(value: float) -> str:
    """Write a time in s, from two minutes on in minutes, hours, days or years as well.

    >>> duration(74852.0), duration(748.5), duration(100.0), duration(9e6)
    ('74,852 s (20.8 h)', '748.5 s (12.5 min)', '100.0 s', '9,000,000 s (104.2 days)')
    """
    text = f"{seconds(value)} s"
    for unit, size in _UNITS:
        if value >= 2 * size:
            return f"{text} ({value / size:,.1f} {unit})"
    return text


def brief(value: float) -> str:
    """Write a time in s in three digits and the unit that is easiest to read.

    >>> brief(74852.0), brief(748.5), brief(2.34567), brief(0.0)
    ('20.8 h', '12.5 min', '2.35 s', '0 s')
    """
    for unit, size in _UNITS:
        if value >= 2 * size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:.3g} s"


def plain(value: float) -> str:
    """Write a number with up to six digits, an exponent without a leading zero.

    >>> plain(1e-06), plain(0.25), plain(1000.0)
    ('1e-6', '0.25', '1000')
    """
    return f"{value:g}".replace("e-0", "e-").replace("e+0", "e+")


def percent(fraction: float) -> str:
    """Write a fraction in percent, without the sign.

    >>> percent(0.1234), percent(0.00001)
    ('12.3', '0.001')
    """
    return f"{100 * fraction:.3g}"


def gap(value: float | None) -> str:
    """Write a relative gap; None is one that nobody proved."""
    if value is None:
        return "unknown"
    return "0" if value == 0 else f"{100 * value:.2g} %"
