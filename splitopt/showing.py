"""What a console and a notebook show of a value: a line, a screen of text, or a table.

``repr`` is one short line. ``str`` and the ``_repr_html_`` that notebooks ask for come from
`splitopt.report.notebook`, which knows how values look, and pictures
from `splitopt.report.plotting`; both are found by their names, since the values themselves know
nothing of reports.
"""

from __future__ import annotations

import importlib
from typing import Any

_VIEWS = "splitopt.report.notebook"
_PICTURES = "splitopt.report.plotting.pictures"


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


class Drawn:
    """A value that has something to draw."""

    __slots__ = ()

    def plot(self, picture: str | None = None, **options: Any) -> Any:
        """Draw a picture with Matplotlib; return its axes.

        Parameters
        ----------
        picture
            Its name; without one, the main picture of the value. A wrong name is answered with
            those that there are.
        options
            ``ax``, the axes to draw in, by default those of a new figure; and what else the
            picture takes, see `splitopt.report.plotting`.

        Raises
        ------
        InputError
            There is no such picture or option, or nothing to draw.
        CapabilityError
            Matplotlib is not installed.
        """
        return importlib.import_module(_PICTURES).draw(self, picture, **options)


def _views() -> Any:
    return importlib.import_module(_VIEWS)
