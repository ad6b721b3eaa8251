"""The benchmark report as one self-contained HTML page with charts and sortable tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.bench.reporting.content import TAUS, GrowthLine, Section, build_content
from splitopt.bench.reporting.curves import (
    FIT_FLOOR_S,
    anytime,
    performance_ratios,
    profile_steps,
    solving_times,
    time_range,
)
from splitopt.bench.reporting.groups import TOLERANCE
from splitopt.bench.reporting.tables import SHIFT_S, shown_columns, write_cell
from splitopt.bench.rows import Row
from splitopt.report.charts import Curve, Panel, Style, line_styles, panels
from splitopt.report.numbers import percent, plain, seconds
from splitopt.report.page import template
from splitopt.results import OPTIMAL_GAP

_TIMES = 240


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and the number to sort by if the text is not one."""

    text: str
    order: float | None = None


@dataclass(frozen=True)
class PageTable:
    """A sortable table: headings with their meanings, and rows of cells."""

    headings: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]
    text_columns: int = 1


@dataclass(frozen=True)
class Figure:
    """A chart with its heading, caption, legend (solvers) and the numbers behind it.

    ``marked`` says that it has points, so that the legend shows their markers.
    """

    heading: str
    caption: str
    svg: str
    legend: tuple[str, ...]
    numbers: PageTable
    marked: bool = False


def rows_to_html(rows: Sequence[Row], *, tolerance: float = TOLERANCE) -> str:
    """Give the report as a page that loads nothing from elsewhere.

    Parameters
    ----------
    rows
        Rows of a benchmark, any number of problems; a page without any says so.
    tolerance
        Relative gap to the best known value at or below which a run counts as solved.

    Raises
    ------
    InputError
        The tolerance is not a number >= 0.
    """
    content = build_content(rows, tolerance)
    solvers = sorted({solver for section in content.sections for solver in section.group.racers})
    styles = line_styles(solvers)
    page = template("bench.html").render(
        content=content,
        tolerance=plain(tolerance),
        shift=f"{SHIFT_S:g}",
        styles=styles,
        marks={solver: index for index, solver in enumerate(solvers)},
        parts=[
            (section, _lines(section), _figures(section, f"part{index}", styles))
            for index, section in enumerate(content.sections)
        ],
    )
    return str(page)


def _lines(section: Section) -> PageTable:
    rows = []
    shown = shown_columns(section.lines)
    for line in section.lines:
        values = {column.key: getattr(line, column.key) for column in shown}
        rows.append(
            tuple(
                Cell(write_cell(line, key), None if key == "solver" else _order(value))
                for key, value in values.items()
            )
        )
    return PageTable(tuple((one.heading, one.meaning) for one in shown), tuple(rows))


def _order(value: float | None) -> float:
    """Give the number to sort by: what does not exist comes last."""
    return 1e300 if value is None else value


def _figures(section: Section, part: str, styles: Mapping[str, Style]) -> list[Figure]:
    groups = {solver: f"{part}-mark{index}" for index, solver in enumerate(styles)}
    drawn = (
        _profile(section, styles, groups),
        _gap_over_time(section, styles, groups),
        _growth(section, styles, groups),
    )
    return [figure for figure in drawn if figure is not None]


def _profile(
    section: Section, styles: Mapping[str, Style], groups: Mapping[str, str]
) -> Figure | None:
    if not section.profile:
        return None
    group = section.group
    ratios = performance_ratios(solving_times(group))
    last = max(10.0, 1.25 * float(ratios[np.isfinite(ratios)].max()))
    curves = []
    for index, solver in enumerate(group.racers):
        taus, fractions = profile_steps(ratios[index], last)
        line = (taus.tolist(), (100 * fractions).tolist())
        curves.append(Curve(*line, styles[solver], f"profile-{groups[solver]}", "steps"))
    panel = Panel(
        "",
        "time as a multiple of the fastest solver's on the instance",
        "% of instances solved",
        tuple(curves),
        x_range=(1.0, last),
        y_range=(-2.0, 102.0),
    )
    headings = [f"within {tau:g}x" if math.isfinite(tau) else "at all" for tau in TAUS]
    numbers = _numbers(
        ["Solver", *headings],
        [[solver, *(_percent(one) for one in values)] for solver, values in section.profile],
    )
    return Figure(
        "Performance profile",
        f"Dolan and Moré (2002): the share of instances that a solver solves within a multiple of "
        f"the time of the fastest one on each. Solved: gap to the best known value at most "
        f"{plain(group.tolerance)}; unsolved is never reached. Median over seeds. "
        f"{section.conditions}.",
        panels([panel]),
        group.racers,
        numbers,
    )


def _gap_over_time(
    section: Section, styles: Mapping[str, Style], groups: Mapping[str, str]
) -> Figure | None:
    span = time_range(section.group)
    if span is None or not section.gaps:
        return None
    first, last = 10.0 ** math.floor(math.log10(span[0])), 1.1 * span[1]
    times = np.geomspace(first, last, _TIMES)
    curves = anytime(section.group, times)
    everything = np.array([line for one in curves.values() for line in (one.mean, one.median)])
    lowest = max(float(everything.min()), OPTIMAL_GAP)
    floor = 10.0 ** math.floor(math.log10(lowest))
    shown = []
    for title in ("mean", "median"):
        lines = [
            Curve(
                times.tolist(),
                np.maximum(getattr(curve, title), floor).tolist(),
                styles[solver],
                f"{title}-{groups[solver]}",
                "steps",
            )
            for solver, curve in curves.items()
        ]
        shown.append(
            Panel(
                f"{title} over the instances",
                "time (s)",
                "gap to the best known value",
                tuple(lines),
                log_y=True,
                x_range=(first, last),
                y_range=(0.6 * floor, 1.6),
            )
        )
    headings = [
        f"{name} at {seconds(time)} s" for time in section.times_s for name in ("mean", "median")
    ]
    numbers = _numbers(
        ["Solver", *headings],
        [
            [solver, *(_percent(one, " %") for pair in zip(*pairs, strict=True) for one in pair)]
            for solver, *pairs in section.gaps
        ],
    )
    return Figure(
        "Gap over time",
        f"Relative gap of the best answer so far to the best known value; 1 before the first "
        f"answer, and where a solver was not run. Values below {plain(floor)} are drawn there. "
        f"{section.conditions}.",
        panels(shown),
        tuple(curves),
        numbers,
    )


def _growth(
    section: Section, styles: Mapping[str, Style], groups: Mapping[str, str]
) -> Figure | None:
    growth = section.growth
    if growth is None:
        return None
    shown = []
    for measure, unit in (("total time", "s"), ("peak memory", "MiB")):
        lines = [line for line in growth.lines if line.measure == measure]
        curves = tuple(
            curve
            for line in lines
            for curve in _growth_curves(line, styles, f"{unit}-{groups[line.solver]}")
        )
        if curves:
            label = f"number of {growth.size}"
            shown.append(Panel(measure, label, f"{measure} ({unit})", curves, log_y=True))
    rows: list[list[Cell | str]] = []
    for line in growth.lines:
        fit = line.fit
        rows.append(
            [
                line.solver,
                line.measure,
                Cell("–", 1e300) if fit is None else Cell(f"{fit.exponent:.3f}", fit.exponent),
                "–" if fit is None else f"{fit.standard_error:.3f}",
                f"{0 if fit is None else fit.points} of {len(line.points)}",
                "–" if fit is None else f"{fit.smallest:,} to {fit.largest:,}",
            ]
        )
    headings = ["Solver", "Measure", "Exponent", "Standard error", "Points used", "Sizes"]
    return Figure(
        "Growth with the size",
        f"One point per instance (median over seeds); lines are least-squares fits of a power law. "
        f"Rings are runs that were stopped by their time limit: they, and times below "
        f"{1000 * FIT_FLOOR_S:g} ms, enter no fit. Memory includes Python and its libraries. "
        f"{section.conditions}.",
        panels(shown) if shown else "",
        tuple(solver for solver in styles if any(line.solver == solver for line in growth.lines)),
        _numbers(headings, rows, text_columns=2),
        marked=True,
    )


def _growth_curves(line: GrowthLine, styles: Mapping[str, Style], name: str) -> list[Curve]:
    style = styles[line.solver]
    curves = []
    for kind, limited in (("dots", False), ("rings", True)):
        points = [point for point in line.points if point.limited == limited]
        if points:
            sizes = [float(point.size) for point in points]
            values = [point.value for point in points]
            curves.append(Curve(sizes, values, style, f"{kind}-{name}", kind))  # type: ignore[arg-type]
    if line.fit is not None:
        fit = line.fit
        ends = [float(fit.smallest), float(fit.largest)]
        fitted = [fit.factor * end**fit.exponent for end in ends]
        curves.append(Curve(ends, fitted, style, f"fit-{name}"))
    return curves


def _percent(fraction: float, unit: str = "") -> Cell:
    return Cell(percent(fraction) + unit, fraction)


def _numbers(headings: Sequence[str], rows: Sequence[Any], text_columns: int = 1) -> PageTable:
    return PageTable(
        tuple((heading, "") for heading in headings),
        tuple(
            tuple(cell if isinstance(cell, Cell) else Cell(str(cell)) for cell in row)
            for row in rows
        ),
        text_columns,
    )
