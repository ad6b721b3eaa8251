"""Axes to draw in, and what all pictures have alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitopt.errors import InputError, shown
from splitopt.extras import need_matplotlib
from splitopt.report.charts import COLOURS

WIDTH = 7.2
"""Of a new figure, in inches."""
WAITING = COLOURS[-1]
"""The grey of the scheme, for time in which nothing is done."""


def axes_for(ax: Any, height: float = 3.4) -> Any:
    """Return the axes to draw in: those given, or those of a new figure `height` inches high.

    A new figure is one of pyplot, which notebooks show without being asked.

    Raises
    ------
    CapabilityError
        Matplotlib is not installed.
    InputError
        What was given is no axes of Matplotlib.
    """
    need_matplotlib("a picture")
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(figsize=(WIDTH, height), layout="constrained")
    elif not isinstance(ax, Axes):
        raise InputError.at(
            "ax",
            f"is {shown(ax)}, it must be axes of Matplotlib; matplotlib.pyplot.subplots() makes "
            "some",
        )
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plain_text(text: str) -> str:
    """Return a text that Matplotlib writes as it is, without reading mathematics in it."""
    return text.replace("$", r"\$")


def stacked_rows(
    ax: Any, labels: Sequence[str], parts: Mapping[str, Sequence[float]], x_label: str
) -> None:
    """Draw a horizontal bar per label, the first on top, divided into named parts."""
    colours = (colour for colour in COLOURS[:-1])
    left = [0.0] * len(labels)
    places = range(len(labels))
    for name, lengths in parts.items():
        colour = WAITING if name.startswith("wait") else next(colours)
        ax.barh(places, lengths, left=left, height=0.72, color=colour, label=name)
        left = [start + length for start, length in zip(left, lengths, strict=True)]
    ax.set_yticks(places, [plain_text(label) for label in labels])
    ax.invert_yaxis()
    ax.set_xlabel(x_label)
    ax.grid(axis="x", color="#d9dee5", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    legend_below(ax)


def legend_below(ax: Any, columns: int = 4) -> None:
    """Write the names of what is drawn below the axes."""
    handles, names = ax.get_legend_handles_labels()
    if names:
        ax.legend(
            handles,
            names,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            borderaxespad=4.4,
            ncols=min(columns, len(names)),
            frameon=False,
            fontsize=9,
        )


def height_of_rows(rows: int) -> float:
    """Return the height of a figure with so many bars, in inches."""
    return 1.5 + 0.3 * max(rows, 2)


def some_of(rows: Sequence[Any], most: int, things: str) -> tuple[Sequence[Any], str]:
    """Return at most so many rows, and words that say so if there are more."""
    if len(rows) <= most:
        return rows, ""
    return rows[:most], f" (the first {most} of {len(rows):,} {things})"
