"""The benchmark report in the terminal; `rows_to_html` writes the same as a page with charts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.text import Text

from splitopt.bench.reporting.groups import TOLERANCE
from splitopt.bench.reporting.summary import (
    MEASURES,
    TAUS,
    Growth,
    GrowthLine,
    Section,
    summarize_rows,
)
from splitopt.bench.reporting.tables import numbers_table, write_cell
from splitopt.bench.rows import Row
from splitopt.report.content import Table
from splitopt.report.grids import grid
from splitopt.report.numbers import percent, plain, seconds

_MOST_REASONS = 15


def print_report(rows: Sequence[Row], console: Console, *, tolerance: float = TOLERANCE) -> None:
    """Print the report of result rows.

    Parameters
    ----------
    rows
        Rows of a benchmark, any number of problems; without any a sentence says so.
    console
        Where to print.
    tolerance
        Relative gap to the best known value at or below which a run counts as solved.

    Raises
    ------
    InputError
        The tolerance is not a number >= 0.
    """
    summary = summarize_rows(rows, tolerance)
    if not summary.sections:
        console.print(Text("No runs: there is nothing to report."))
        return
    for section in summary.sections:
        console.print(_section(section))
    for label, value in summary.facts:
        console.print(Text.assemble((f"{label}: ", "bold"), value))
    for note in summary.notes:
        console.print(Text(f"Note: {note}", style="yellow"))


def _section(section: Section) -> RenderableType:
    group = section.group
    parts: list[RenderableType] = [
        Text(section.title, style="bold"),
        Text(f"{section.conditions}; solved: gap to the best known <= {plain(group.tolerance)}"),
        grid(_lines(section), wrap=True),
    ]
    parts += _reasons(section)
    if section.profile:
        heading = "Performance profile: % of instances solved within a factor of the fastest"
        parts += [Text(heading, style="bold"), grid(_profile(section), wrap=True)]
    if section.gaps:
        heading = "Gap over time: mean over the instances, in % (100 before an answer)"
        parts += [Text(heading, style="bold"), grid(_gaps(section), wrap=True)]
    if section.growth is not None:
        heading = (
            f"Growth with the number of {section.growth.size}: "
            "exponent ± standard error (points used)"
        )
        parts += [Text(heading, style="bold"), grid(_growth(section.growth), wrap=True)]
    parts += [Text(f"Note: {note}", style="yellow") for note in section.notes]
    return Group(*parts, Text(""))


def _lines(section: Section) -> Table:
    """Show the table of solvers, short enough for a narrow terminal.

    What the failures are stands in the list of reasons below it. ``x back end`` is the geometric
    mean of times over those of the fastest of the solvers `BACK_ENDS`, see `ratio_to_back_ends`.
    """
    beside = any(line.ratio is not None for line in section.lines)
    headings = (
        "Solver",
        "Runs",
        "Proved,\nfeasible,\nnone",
        "Solved",
        "Wins",
        "Worst\ngap %",
        "Mean\ngap %",
        "Time\n(s)",
        *(("x back\nend",) if beside else ()),
        "Failed",
        "Skipped",
    )
    rows = [
        (
            line.solver,
            str(line.runs),
            f"{line.proved}, {line.feasible}, {line.unanswered}",
            str(line.within),
            str(line.wins),
            *(write_cell(line, key) for key in ("worst_gap", "mean_gap", "time_s")),
            *((write_cell(line, "ratio"),) if beside else ()),
            str(line.failed),
            str(line.skipped),
        )
        for line in section.lines
    ]
    return numbers_table(headings, rows)


def _reasons(section: Section) -> list[RenderableType]:
    shown = section.reasons[:_MOST_REASONS]
    parts: list[RenderableType] = [
        Text(f"  {reason.solver}, {reason.status} x {reason.runs}: {reason.message}", "dim")
        for reason in shown
    ]
    if left := len(section.reasons) - len(shown):
        parts.append(Text(f"  ... and {left} more reasons: see the page", "dim"))
    return parts


def _profile(section: Section) -> Table:
    headings = [f"x {tau:g}" if math.isfinite(tau) else "at all" for tau in TAUS]
    rows = [[solver, *map(percent, fractions)] for solver, fractions in section.profile]
    return numbers_table(["Solver", *headings], rows)


def _gaps(section: Section) -> Table:
    headings = [f"{seconds(time)} s" for time in section.times_s]
    rows = [[solver, *map(percent, means)] for solver, means, _ in section.gaps]
    return numbers_table(["Solver", *headings], rows)


def _growth(growth: Growth) -> Table:
    """Show one line per solver: the exponent of each measure."""
    measures = [name for _, name, _ in MEASURES]
    fits: dict[str, dict[str, GrowthLine]] = {}
    for line in growth.lines:
        fits.setdefault(line.solver, {})[line.measure] = line
    rows = [
        [solver, *(_write_fit(found.get(name)) for name in measures)]
        for solver, found in fits.items()
    ]
    return numbers_table(["Solver", *measures], rows)


def _write_fit(line: GrowthLine | None) -> str:
    """Write an exponent with its standard error, and how many of the points it was fitted to."""
    if line is None or line.fit is None:
        return "–"
    fit = line.fit
    used = f"({fit.points} of {len(line.points)})"
    return f"{fit.exponent:.2f} ± {fit.standard_error:.2f} {used}"
