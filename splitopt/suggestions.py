"""The nearest of the known names, for a message that refuses an unknown one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

LONGEST_NAME = 100
"""Characters; a longer text is no slip of the pen, and comparing it would take long."""


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'exact'?"`` for the known name most like `name`, else ``""``.

    Capital letters, blanks, hyphens and underscores make no difference when names are compared.
    """
    import difflib

    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        return ""
    alike: dict[str, str] = {}
    for other in known:
        alike.setdefault(_plain(other), other)
    close = difflib.get_close_matches(_plain(name), alike, n=1)
    return f"; did you mean {alike[close[0]]!r}?" if close else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")
