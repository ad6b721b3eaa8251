"""The nearest of the known names, for a message that refuses an unknown one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

LONGEST_NAME = 100
"""Characters; a longer text is no slip of the pen, and comparing it would take long."""


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'exact'?"`` for the known name most like `name`, else ``""``.

    Capital letters, blanks and punctuation make no difference when names are compared. A name that
    begins as `name` does comes before one that only has as many letters in common: who writes
    ``resnet-18`` means ``resnet18-imagenet`` rather than ``dp-mora-resnet18``.
    """
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        return ""
    wanted = _plain(name)
    alike: dict[str, str] = {}
    for other in known:
        alike.setdefault(_plain(other), other)
    if len(wanted) < 2 or not alike:
        return f"; did you mean {alike[wanted]!r}?" if wanted in alike else ""
    nearest = max(alike, key=lambda other: _likeness(wanted, other))
    return f"; did you mean {alike[nearest]!r}?" if _likeness(wanted, nearest) >= 0.6 else ""


def _likeness(wanted: str, other: str) -> float:
    """Return 2 for the same, above 1 for the same beginning, else the share of letters in common.

    A longer name is also compared by its beginning alone.
    """
    from difflib import SequenceMatcher

    if other.startswith(wanted):
        return 1 + len(wanted) / len(other)
    ratios = [SequenceMatcher(None, wanted, other).ratio()]
    if 5 <= len(wanted) < len(other):
        ratios.append(0.95 * SequenceMatcher(None, wanted, other[: len(wanted)]).ratio())
    return max(ratios)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum()) or name
