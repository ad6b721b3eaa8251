"""What a console and a notebook show of a value: a line, a screen of text, or a table.

``repr`` is one short line. ``str`` and the ``_repr_html_`` that notebooks ask for come from
`splitopt.report.notebook`, which knows how values look; it is found by its name, since the values
themselves know nothing of reports.
"""

from __future__ import annotations

import importlib
from typing import Any

_VIEWS = "splitopt.report.notebook"


class Shown:
    """A value that shows itself in one line, as text, and as HTML in a notebook."""

    __slots__ = ()

    def _brief(self) -> str:
        """Return a few words on what the value is, for its ``repr``."""
        return ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{' ' if self._brief() else ''}{self._brief()}>"

    def __str__(self) -> str:
        return str(_views().as_text(self))

    def _repr_html_(self) -> str:
        return str(_views().as_html(self))


def _views() -> Any:
    return importlib.import_module(_VIEWS)
