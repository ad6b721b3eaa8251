"""The benchmark report as one self-contained HTML page with charts and sortable tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from splitopt.bench.reporting.curves import (
    FIT_FLOOR_S,
    anytime,
    performance_ratios,
    profile_steps,
    solving_times,
    time_range,
)
from splitopt.bench.reporting.groups import TOLERANCE
from splitopt.bench.reporting.summary import TAUS, GrowthLine, Section, summarize_rows
from splitopt.bench.reporting.tables import LAST, SHIFT_S, numbers_table, reason_table, solver_table
from splitopt.bench.rows import Row
from splitopt.report.charts import Curve, Panel, Style, line_styles, panels
from splitopt.report.content import Figure, Table
from splitopt.report.numbers import percent, plain, seconds
from splitopt.report.templating import template
from splitopt.results import OPTIMAL_GAP

_TIMES = 240


def rows_to_html(rows: Sequence[Row], *, tolerance: float = TOLERANCE) -> str:
    """Return the report as a page that loads nothing from elsewhere.

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
    summary = summarize_rows(rows, tolerance)
    solvers = sorted({solver for section in summary.sections for solver in section.group.started})
    styles = line_styles(solvers)
    page = template("bench.html").render(
        summary=summary,
        tolerance=plain(tolerance),
        shift=f"{SHIFT_S:g}",
        styles=styles,
        marks={solver: index for index, solver in enumerate(solvers)},
        parts=[
            (
                section,
                solver_table(section.lines),
                reason_table(section.reasons),
                _figures(section, f"part{index}", styles),
            )
            for index, section in enumerate(summary.sections)
        ],
    )
    return str(page)


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
    for index, solver in enumerate(group.started):
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
    numbers = numbers_table(
        ["Solver", *headings],
        [[solver, *map(percent, values)] for solver, values in section.profile],
        order=_by_column([values for _, values in section.profile]),
    )
    return Figure(
        "Performance profile",
        partial(panels, [panel]),
        f"Dolan and Moré (2002): the share of instances that a solver solves within a multiple of "
        f"the time of the fastest one on each. Solved: gap to the best known value at most "
        f"{plain(group.tolerance)}; unsolved is never reached. Median over seeds. "
        f"{section.conditions}.",
        legend=group.started,
        numbers=numbers,
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
    panel = partial(
        Panel,
        x_label="time (s)",
        y_label="gap to the best known value",
        log_y=True,
        x_range=(first, last),
        y_range=(0.6 * floor, 1.6),
    )
    shown = [
        panel(
            title=f"{title} over the instances",
            curves=tuple(
                Curve(
                    times.tolist(),
                    np.maximum(getattr(curve, title), floor).tolist(),
                    styles[solver],
                    f"{title}-{groups[solver]}",
                    "steps",
                )
                for solver, curve in curves.items()
            ),
        )
        for title in ("mean", "median")
    ]
    return Figure(
        "Gap over time",
        partial(panels, shown),
        f"Relative gap of the best answer so far to the best known value; 1 before the first "
        f"answer, and where a solver was not run. Values below {plain(floor)} are drawn there. "
        f"{section.conditions}.",
        legend=tuple(curves),
        numbers=_gap_numbers(section),
    )


def _gap_numbers(section: Section) -> Table:
    headings = [
        f"{name} at {seconds(time)} s" for time in section.times_s for name in ("mean", "median")
    ]
    gaps = {
        solver: [one for pair in zip(means, medians, strict=True) for one in pair]
        for solver, means, medians in section.gaps
    }
    return numbers_table(
        ["Solver", *headings],
        [[solver, *(f"{percent(one)} %" for one in values)] for solver, values in gaps.items()],
        order=_by_column(list(gaps.values())),
    )


def _by_column(fractions: Sequence[Sequence[float]]) -> dict[int, Sequence[float]]:
    """Return the numbers to sort each column by, where the first column holds names."""
    return dict(enumerate(zip(*fractions, strict=True), start=1))


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
    return Figure(
        "Growth with the size",
        partial(panels, shown) if shown else str,
        f"One point per instance (median over seeds); lines are least-squares fits of a power law. "
        f"Rings are runs that were stopped by their time limit: they, and times below "
        f"{1000 * FIT_FLOOR_S:g} ms, enter no fit. Memory includes Python and its libraries. "
        f"{section.conditions}.",
        legend=tuple(
            solver for solver in styles if any(line.solver == solver for line in growth.lines)
        ),
        marked=True,
        numbers=_growth_numbers(growth.lines),
    )


def _growth_numbers(lines: Sequence[GrowthLine]) -> Table:
    headings = ["Solver", "Measure", "Exponent", "Standard error", "Points used", "Sizes"]
    rows = [
        [
            line.solver,
            line.measure,
            "–" if line.fit is None else f"{line.fit.exponent:.3f}",
            "–" if line.fit is None else f"{line.fit.standard_error:.3f}",
            f"{0 if line.fit is None else line.fit.points} of {len(line.points)}",
            "–" if line.fit is None else f"{line.fit.smallest:,} to {line.fit.largest:,}",
        ]
        for line in lines
    ]
    exponents = [LAST if line.fit is None else line.fit.exponent for line in lines]
    return numbers_table(headings, rows, text_columns=2, order={2: exponents})


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
