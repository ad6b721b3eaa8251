"""The benchmark report in the terminal; `rows_to_html` gives the same as a page with charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from splitopt.bench.reporting.content import (
    MEASURES,
    TAUS,
    Growth,
    GrowthLine,
    Section,
    build_content,
)
from splitopt.bench.reporting.groups import TOLERANCE
from splitopt.bench.reporting.page import rows_to_html as rows_to_html
from splitopt.bench.reporting.tables import write_cell
from splitopt.bench.rows import Row
from splitopt.report.numbers import percent, plain, seconds

_MOST_REASONS = 15


def print_report(rows: Sequence[Row], console: Console, *, tolerance: float = TOLERANCE) -> None:
    """Print the report of result rows.

    Parameters
    ----------
    rows
        Rows of a benchmark, any number of problems; none at all is said in a sentence.
    console
        Where to print.
    tolerance
        Relative gap to the best known value at or below which a run counts as solved.

    Raises
    ------
    InputError
        The tolerance is not a number >= 0.
    """
    content = build_content(rows, tolerance)
    if not content.sections:
        console.print(Text("No runs: there is nothing to report."))
        return
    for section in content.sections:
        console.print(_section(section))
    for label, value in content.facts:
        console.print(Text.assemble((f"{label}: ", "bold"), value))
    for note in content.notes:
        console.print(Text(f"Note: {note}", style="yellow"))


def _section(section: Section) -> RenderableType:
    group = section.group
    parts: list[RenderableType] = [
        Text(section.title, style="bold"),
        Text(f"{section.conditions}; solved: gap to the best known <= {plain(group.tolerance)}"),
        _lines(section),
    ]
    parts += _reasons(section)
    if section.profile:
        heading = "Performance profile: % of instances solved within a factor of the fastest"
        parts += [Text(heading, style="bold"), _profile(section)]
    if section.gaps:
        heading = "Gap over time: mean over the instances, in % (100 before an answer)"
        parts += [Text(heading, style="bold"), _gaps(section)]
    if section.growth is not None:
        heading = (
            f"Growth with the number of {section.growth.size}: "
            "exponent ± standard error (points used)"
        )
        parts += [Text(heading, style="bold"), _growth(section.growth)]
    parts += [Text(f"Note: {note}", style="yellow") for note in section.notes]
    return Group(*parts, Text(""))


def _table(headings: Iterable[str]) -> Table:
    """Make an empty table in the report's look: names on the left, then numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for index, heading in enumerate(headings):
        if index == 0:
            made.add_column(Text(heading), overflow="fold")
        else:
            made.add_column(Text(heading), justify="right", min_width=_longest_word(heading))
    return made


def _longest_word(heading: str) -> int:
    return max(len(word) for word in heading.split())


def _lines(section: Section) -> Table:
    """Show the table of solvers, short enough for a narrow terminal.

    What the failures are stands in the list of reasons below it.
    """
    made = _table(
        (
            "Solver",
            "Runs",
            "Proved,\nfeasible,\nnone",
            "Solved",
            "Wins",
            "Worst\ngap %",
            "Mean\ngap %",
            "Time\n(s)",
            "Failed",
            "Skipped",
        )
    )
    for line in section.lines:
        made.add_row(
            Text(line.solver),
            str(line.runs),
            f"{line.proved}, {line.feasible}, {line.unanswered}",
            str(line.within),
            str(line.wins),
            *(write_cell(line, key) for key in ("worst_gap", "mean_gap", "time_s")),
            str(line.failed),
            str(line.skipped),
        )
    return made


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
    made = _table(["Solver", *headings])
    for solver, fractions in section.profile:
        made.add_row(Text(solver), *(percent(fraction) for fraction in fractions))
    return made


def _gaps(section: Section) -> Table:
    made = _table(["Solver", *(f"{seconds(time)} s" for time in section.times_s)])
    for solver, means, _ in section.gaps:
        made.add_row(Text(solver), *(percent(mean) for mean in means))
    return made


def _growth(growth: Growth) -> Table:
    """Show one line per solver: the exponent of each measure."""
    measures = [name for _, name, _ in MEASURES]
    made = _table(["Solver", *measures])
    cells: dict[str, dict[str, GrowthLine]] = {}
    for line in growth.lines:
        cells.setdefault(line.solver, {})[line.measure] = line
    for solver, found in cells.items():
        made.add_row(Text(solver), *(_write_fit(found.get(name)) for name in measures))
    return made


def _write_fit(line: GrowthLine | None) -> str:
    """Write an exponent with its standard error, and how many of the points it was fitted to."""
    if line is None or line.fit is None:
        return "–"
    fit = line.fit
    used = f"({fit.points} of {len(line.points)})"
    return f"{fit.exponent:.2f} ± {fit.standard_error:.2f} {used}"
