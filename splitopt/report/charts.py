"""Charts as SVG text, to stand inside a page."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from splitopt.errors import InputError
from splitopt.report.numbers import plain
from splitopt.storage.writing import write_atomic

COLOURS = ("#4477aa", "#228833", "#ccbb44", "#ee6677", "#66ccee", "#aa3377", "#bbbbbb")
"""Paul Tol's bright scheme, distinguishable with colour-blind eyes."""

MANY_COLOURS = (
    *COLOURS[:-1],
    *("#ff7700", "#664400", "#4455dd", "#ccbbaa", "#dd88ff", "#0000ff"),
    *("#005544", "#ff2233", "#ee11bb", "#cc00ff"),
)
"""The same without grey, and ten more: far apart for all eyes, and for colour-blind ones farthest
within each six, which have the same dashes and marker; a test measures it."""
PHASE_COLOURS = (*COLOURS, *MANY_COLOURS[6:8], MANY_COLOURS[10])
"""Of the phases of a timeline: ``c0`` to ``c9`` of the style sheet."""

_DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 1.8), (1.2, 1.4), (6.0, 1.5, 1.2, 1.5))
_MARKERS = ("o", "s", "^", "D")
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))

_MOST_CELLS = 2000
"""Of a heat map that is drawn cell by cell; of more it is a picture."""
_LARGEST = 1e150
"""A point beyond it is left out: Matplotlib cannot place the ticks of such an axis."""

SUFFIXES = (".html", ".svg", ".png")
"""What a chart is written as: in a page, or alone."""


@dataclass(frozen=True)
class Style:
    """How one thing looks in every chart: colour, dashes (empty is solid) and marker."""

    colour: str
    dashes: tuple[float, ...]
    marker: str


def line_styles(names: Iterable[str]) -> dict[str, Style]:
    """Assign each name a style of its own: 6 colours, then the same again with other dashes.

    The grey of the scheme is left out, as a thin grey line is lost on the grid. The styles repeat
    from the 25th name on.
    """
    colours = COLOURS[:-1]
    styles = {}
    for index, name in enumerate(names):
        turn = index // len(colours) % len(_DASHES)
        styles[name] = Style(colours[index % len(colours)], _DASHES[turn], _MARKERS[turn])
    return styles


def distinct_styles(names: Sequence[str]) -> dict[str, Style]:
    """Assign each of at most 16 names a colour that no other has; dashes and marker change too.

    The first six are those of `line_styles`.
    """
    styles = {}
    for index, (name, colour) in enumerate(zip(names, MANY_COLOURS, strict=False)):
        turn = index // (len(COLOURS) - 1) % len(_DASHES)
        styles[name] = Style(colour, _DASHES[turn], _MARKERS[turn])
    if len(styles) < len(names):
        raise ValueError(f"{len(names)} names, and {len(MANY_COLOURS)} colours to tell apart")
    return styles


@dataclass(frozen=True)
class Curve:
    """Points (x, y) to draw as a line, as steps that hold until the next x, as dots or as rings.

    ``group`` becomes the id of the SVG element, which a page may use to hide it.
    """

    x: Sequence[float]
    y: Sequence[float]
    style: Style
    group: str
    kind: Literal["line", "steps", "dots", "rings"] = "line"


@dataclass(frozen=True)
class Heat:
    """Rows of cells from 0 to 1, the first row lowest and cells numbered from 1; None is empty.

    ``label`` stands at the scale of colours.
    """

    rows: Sequence[Sequence[float | None]]
    label: str


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its curves; a range of None follows the data.

    ``whole_x`` writes whole numbers alone on the horizontal axis. ``heat`` is drawn below
    the curves.
    """

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    log_x: bool = True
    log_y: bool = False
    whole_x: bool = False
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    heat: Heat | None = None


def panels(shown: Sequence[Panel], height: float = 3.5) -> str:
    """Draw panels side by side as an SVG element; the page around it writes the legend.

    Names stay out of the drawing, so that none of them is read as mathematics or as markup.
    """
    return svg_text(panels_figure(shown, height))


def panels_figure(
    shown: Sequence[Panel],
    height: float = 3.5,
    columns: int | None = None,
    legend: Mapping[str, Style] | None = None,
) -> Any:
    """Draw panels in rows of `columns`, by default in one, as a figure of Matplotlib.

    `height` is that of a row in inches; `legend` names styles above the panels.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D

    across = columns or len(shown)
    rows = -(-len(shown) // across)
    figure = Figure(figsize=(9.6, height * rows), layout=ConstrainedLayoutEngine(wspace=0.06))
    places = list(figure.subplots(rows, across, squeeze=False).flat)
    for axes, panel in zip(places, shown, strict=False):
        draw_panel(axes, panel)
    for axes in places[len(shown) :]:
        axes.set_visible(False)
    if legend:
        lines = [
            Line2D([], [], color=style.colour, linestyle=(0, style.dashes) if style.dashes else "-")
            for style in legend.values()
        ]
        names = [name.replace("$", r"\$") for name in legend]
        figure.legend(
            lines, names, loc="outside upper center", ncols=min(len(names), 5), frameon=False
        )
    return figure


def draw_panel(axes: Any, panel: Panel) -> None:
    """Draw a panel into axes of Matplotlib."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#d9dee5", linewidth=0.6)
    axes.set_axisbelow(True)
    if panel.log_x:
        axes.set_xscale("log")
        _mark_decades(axes.xaxis)
    if panel.log_y:
        axes.set_yscale("log")
        _mark_decades(axes.yaxis)
    if panel.whole_x:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if panel.heat is not None:
        _draw_heat(axes, panel.heat)
    for curve in panel.curves:
        _draw(axes, curve)
    if panel.x_range is not None:
        axes.set_xlim(panel.x_range)
    if panel.y_range is not None:
        axes.set_ylim(panel.y_range)
    axes.set_title(panel.title, fontsize=10.5, loc="left")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)


def _mark_decades(axis: Any) -> None:
    """Write plain numbers at some decades of a logarithmic axis and nowhere else."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_formatter(NullFormatter())


def _draw_heat(axes: Any, heat: Heat) -> None:
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    values = np.array([[np.nan if one is None else one for one in row] for row in heat.rows])
    rows, columns = values.shape
    x, y = np.arange(columns + 1) + 0.5, np.arange(rows + 1) - 0.5
    drawn = axes.pcolormesh(x, y, values, cmap="viridis", vmin=0, vmax=1)
    drawn.set_rasterized(values.size > _MOST_CELLS)
    axes.grid(visible=False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.figure.colorbar(drawn, ax=axes, label=heat.label)


def _draw(axes: Any, curve: Curve) -> None:
    style = curve.style
    if curve.kind in ("dots", "rings"):
        look = {
            "linestyle": "none",
            "marker": style.marker,
            "markersize": 5.5,
            "markerfacecolor": style.colour if curve.kind == "dots" else "none",
        }
    else:
        look = {
            "linewidth": 1.7,
            "linestyle": (0, style.dashes) if style.dashes else "solid",
            "drawstyle": "steps-post" if curve.kind == "steps" else "default",
        }
    points = [
        (x, y)
        for x, y in zip(curve.x, curve.y, strict=True)
        if not (abs(x) > _LARGEST or abs(y) > _LARGEST)
    ]
    axes.plot(
        [x for x, _ in points], [y for _, y in points], color=style.colour, gid=curve.group, **look
    )


def svg_text(figure: Any) -> str:
    """Write a figure as an SVG element: text stays text, ids are the same every time."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "splitopt"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def check_suffix(path: Path, what: str) -> None:
    """Reject a file whose suffix names no format that a chart is written in."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: {what} ends in {', '.join(SUFFIXES)}")


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as .svg or .png."""
    if path.suffix == ".svg":
        write_atomic(path, svg_text(figure))
        return
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    write_atomic(path, buffer.getvalue())
