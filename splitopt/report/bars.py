"""Bars and lanes of time as HTML, in the colours of the page and as wide as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from splitopt.report.numbers import brief, plain, seconds

COLOURS = 10
"""Classes ``c0`` to ``c9`` of the style sheet."""
_TICKS = 5
_SMALLEST = 1e-4
"""A part below this share of the whole is not drawn: it would be less than a tenth of a pixel."""


def stacked_bars(labels: Sequence[str], parts: Mapping[str, Sequence[float]], x_label: str) -> str:
    """Draw a horizontal bar per label, divided into parts.

    `parts` maps the name of a part to its length for every label, in the unit of `x_label`; where
    that is seconds, lengths are written as times, and else as numbers.
    """
    timed = x_label.startswith("second")
    totals = [sum(lengths[row] for lengths in parts.values()) for row in range(len(labels))]
    longest = max(totals, default=0.0) or 1.0
    rows = []
    for row, label in enumerate(labels):
        pieces = [
            f'<span class="c{k % COLOURS}" style="width:{100 * lengths[row] / longest:.4g}%" '
            f'title="{escape(f"{label}, {name}: {_written(lengths[row], timed)}")}"></span>'
            for k, (name, lengths) in enumerate(parts.items())
            if lengths[row] > _SMALLEST * longest
        ]
        rows.append(
            f'<div class="bar"><span class="name" title="{escape(label)}">{escape(label)}</span>'
            f'<span class="track">{"".join(pieces)}</span>'
            f'<span class="end">{(brief if timed else plain)(totals[row])}</span></div>'
        )
    about = f"Bars of {x_label} by part"
    if labels:
        most = totals.index(max(totals))
        about += f"; the longest is {labels[most]}, {_written(totals[most], timed)}"
    return f'<div role="img" aria-label="{escape(about)}">{_key(parts)}{"".join(rows)}</div>'


@dataclass(frozen=True)
class Piece:
    """What occupies a lane from `start_s` to `end_s`, of which kind, and what is said about it.

    ``height`` is the part of the lane's height that it takes.
    """

    kind: str
    start_s: float
    end_s: float
    text: str
    height: float = 1.0


@dataclass(frozen=True)
class Lane:
    """A row of a Gantt chart."""

    name: str
    pieces: Sequence[Piece]


def lanes(rows: Iterable[Lane], kinds: Sequence[str], span: tuple[float, float], about: str) -> str:
    """Draw a Gantt chart that a page can zoom: a row per lane, a tooltip per piece.

    Parameters
    ----------
    rows
        From top to bottom.
    kinds
        Of pieces, in the order of their colours.
    span
        The time that is drawn, in s.
    about
        The text in place of the drawing.
    """
    start, end = span
    width = (end - start) or 1.0
    colour = {kind: k % COLOURS for k, kind in enumerate(kinds)}
    drawn, shown = [], set()
    for lane in rows:
        pieces = []
        for piece in lane.pieces:
            left, right = max(piece.start_s, start), min(piece.end_s, end)
            if right - left <= 1e-5 * width:
                continue
            shown.add(piece.kind)
            tall = 10 * piece.height
            pieces.append(
                f'<rect class="c{colour[piece.kind]}{" wait" if piece.kind == WAITING else ""}" '
                f'x="{1000 * (left - start) / width:.6g}" '
                f'width="{1000 * (right - left) / width:.6g}" y="{10 - tall:.3g}" '
                f'height="{tall:.3g}"><title>{escape(piece.text)}</title></rect>'
            )
        drawn.append(
            f'<div class="lane"><span class="name" title="{escape(lane.name)}">'
            f'{escape(lane.name)}</span><svg viewBox="0 0 1000 10" preserveAspectRatio="none">'
            f"{''.join(pieces)}</svg></div>"
        )
    ticks = "".join(
        f'<span style="left:{100 * k / _TICKS:g}%">{brief(start + width * k / _TICKS)}</span>'
        for k in range(_TICKS + 1)
    )
    key = _key(kinds, shown)
    return (
        f'<div class="gantt" data-from="{start!r}" data-to="{end!r}">{key}'
        f'<div role="img" aria-label="{escape(about)}">{"".join(drawn)}'
        f'<div class="lane"><span></span><div class="axis">{ticks}</div></div></div></div>'
    )


WAITING = "waits for the slowest"
"""The kind of a piece in which nothing is done."""


def _key(kinds: Iterable[str], shown: set[str] | None = None) -> str:
    """Return the legend."""
    found = "".join(
        f'<span class="c{k % COLOURS}{" wait" if kind == WAITING else ""}">{escape(kind)}</span>'
        for k, kind in enumerate(kinds)
        if shown is None or kind in shown
    )
    return f'<p class="key">{found}</p>'


def _written(value: float, timed: bool) -> str:
    return f"{seconds(value)} s" if timed else plain(value)
