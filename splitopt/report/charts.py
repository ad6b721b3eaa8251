"""Charts as SVG text, to stand inside a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

COLOURS = ("#4477aa", "#228833", "#ccbb44", "#ee6677", "#66ccee", "#aa3377", "#bbbbbb")
"""Paul Tol's bright scheme, distinguishable with colour-blind eyes."""


def stacked_bars(labels: Sequence[str], parts: Mapping[str, Sequence[float]], x_label: str) -> str:
    """Draw a horizontal bar per label, divided into parts, as an SVG element.

    `parts` maps the name of a part to its length for every label, in the unit of `x_label`.
    """
    figure, axes = _figure(9.0, 1.2 + 0.28 * len(labels))
    left = [0.0] * len(labels)
    places = range(len(labels))
    for (name, lengths), colour in zip(parts.items(), COLOURS, strict=False):
        axes.barh(places, lengths, left=left, label=name, color=colour, height=0.75)
        left = [a + b for a, b in zip(left, lengths, strict=True)]
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.set_xlabel(x_label)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(parts), frameon=False)
    axes.margins(y=0.5 / max(len(labels), 1))
    return svg_text(figure)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """Make a figure without the global state of pyplot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg_text(figure: Any) -> str:
    """Write a figure as an SVG element: text stays text, ids are the same every time."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "splitopt"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
