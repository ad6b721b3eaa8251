"""A comparison of schemes in the terminal and as a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from splitopt.planning.comparison.grid import Grid
from splitopt.planning.comparison.rows import NAMES, Comparison, SchemeRow
from splitopt.planning.comparison.sweeping import Sweep
from splitopt.report.content import Column, Table
from splitopt.report.generator_comparison import generator_tables, without_pairing
from splitopt.report.grids import table_in_terminal
from splitopt.report.numbers import gap, seconds
from splitopt.report.sweeps import change_lines, grid_table, sweep_chart, sweep_table, wide
from splitopt.report.templating import template
from splitopt.units import readable_bytes, readable_work

if TYPE_CHECKING:
    from rich.console import RenderableType

    from splitopt.report.charts import Panel, Style

_UNKNOWN = "-"
_STATUS = {
    "infeasible": "not possible",
    "no_solution": "no plan found",
    "not_comparable": "not compared",
}
_MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆"}


def _known(shown: Callable[[float], str]) -> Callable[[float | None], str]:
    return lambda value: _UNKNOWN if value is None else shown(value)


_FIELDS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("accuracy_s", "To accuracy, s", seconds),
    ("round_s", "Round, s", seconds),
    ("traffic_bytes", "Traffic", readable_bytes),
    ("device_flop", "Device work", readable_work),
    ("device_memory_bytes", "Device mem", readable_bytes),
    ("server_memory_bytes", "Server mem", readable_bytes),
    ("leakage", "Leakage", lambda value: f"{value:.3f}"),
    ("energy_j", "Energy, J", seconds),
    ("round_cost", "Cost", lambda value: f"{value:.4g}"),
)
"""Field of a row, heading, and how its values are written."""


def ranked_table(comparison: Comparison) -> Table:
    """Return the schemes that have a plan, the best first, without empty columns."""
    rows = comparison.feasible
    fields = [field for field in _FIELDS if any(getattr(r, field[0]) is not None for r in rows)]
    columns = [Column("rank", "#"), Column("label", "Scheme", text=True)]
    guessed = set(comparison.guesses)
    columns += [
        Column(name, f"{heading} (guess)" if name in guessed else heading)
        for name, heading, _ in fields
    ]
    columns += [] if all(row.proved for row in rows) else [Column("gap", "Gap")]
    columns.append(Column("cut", "Cut", text=True))
    shown = [
        {
            "rank": f"{place}{'*' if row.pareto else ''}",
            "label": row.label,
            "gap": gap(0.0 if row.proved else row.gap),
            "cut": row.cut or _UNKNOWN,
            **{name: _known(write)(getattr(row, name)) for name, _, write in fields},
        }
        for place, row in enumerate(rows, start=1)
    ]
    by = "the time to the accuracy" if comparison.by_accuracy else "the length of a round"
    caption = (
        f"Each scheme's best plan, ranked by {by}; * no other beats it in time, traffic and work"
    )
    return Table("Schemes", caption, tuple(columns), tuple(shown), "schemes")


def reasons(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Return label, verdict and reason of the schemes without a plan."""
    return [
        (row.label, _STATUS[row.status], row.reason or "")
        for row in comparison.rows
        if row.status != "feasible"
    ]


def comparison_to_terminal(
    comparison: Comparison, sweep: Sweep | Grid | None = None
) -> RenderableType:
    """Lay out the ranked table, why others are not in it, the advice, and the sweep."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [
        Text(f"{comparison.scenario}: {comparison.profile}", style="bold")
    ]
    if comparison.feasible:
        parts += table_in_terminal(ranked_table(comparison))
    parts += [Text(f"{label}: {what}: {why}") for label, what, why in reasons(comparison)]
    parts.append(Text(comparison.advice, style="bold green" if comparison.feasible else "bold red"))
    for table in generator_tables(comparison.generators):
        parts += table_in_terminal(table)
    lacking = without_pairing(comparison.generators)
    parts += [Text(f"{label}: {what}: {why}") for label, what, why in lacking]
    if sweep is not None:
        parts += table_in_terminal(_swept_table(sweep))
        parts += [Text(f"{line}.") for line in _lines(sweep)]
    parts += [Text(f"Note: {note}", style="yellow") for note in comparison.notes]
    return Group(*parts)


def comparison_to_html(comparison: Comparison, sweep: Sweep | Grid | None = None) -> str:
    """Return one self-contained page: advice, Pareto plot, table, reasons, sweep."""
    styles = scheme_styles()
    legend = [
        (row.label, styles[row.scheme].colour, _MARKERS[styles[row.scheme].marker])
        for row in comparison.feasible
    ]
    return str(
        template("comparison.html").render(
            comparison=comparison,
            advice=re.split(r"(?<=[.)]) (?=[A-Z])", comparison.advice),
            table=ranked_table(comparison) if comparison.feasible else None,
            pareto=_pareto(comparison.feasible, styles) if comparison.feasible else None,
            legend=legend,
            reasons=[*reasons(comparison), *without_pairing(comparison.generators)],
            generators=generator_tables(comparison.generators),
            sweep=sweep,
            sweep_table=None if sweep is None else _swept_table(sweep),
            sweep_lines=[] if sweep is None else _lines(sweep),
            sweep_chart=sweep_chart(sweep, styles) if isinstance(sweep, Sweep) else None,
        )
    )


def scheme_styles() -> dict[str, Style]:
    """Return the style of each scheme, the same in every picture; no two share a colour."""
    from splitopt.report.charts import distinct_styles

    return distinct_styles(tuple(NAMES))


def _swept_table(sweep: Sweep | Grid) -> Table:
    return sweep_table(sweep) if isinstance(sweep, Sweep) else grid_table(sweep)


def _lines(sweep: Sweep | Grid) -> list[str]:
    return change_lines(sweep) if isinstance(sweep, Sweep) else []


TRADED = (
    ("Time and traffic", 1, "traffic {}, MB", 1e6),
    ("Time and work of a device", 2, "work of the busiest device {}, GFLOP", 1e9),
)
"""Title, place among the measures, label and unit of what time is traded for."""


def _pareto(rows: Sequence[SchemeRow], styles: Mapping[str, Style]) -> str:
    from splitopt.report.charts import panels

    return panels([traded_panel(rows, styles, traded) for traded in TRADED], height=4.0)


def traded_panel(
    rows: Sequence[SchemeRow], styles: Mapping[str, Style], traded: tuple[str, int, str, float]
) -> Panel:
    """Return time against one of `TRADED`: dots are not beaten by any other scheme, rings are."""
    from splitopt.report.charts import Curve, Panel

    title, at, y_label, unit = traded
    by_accuracy = rows[0].accuracy_s is not None
    span = "to the accuracy" if by_accuracy else "of a round"
    curves = tuple(
        Curve(
            [row.measures[0]],
            [row.measures[at] / unit],
            styles[row.scheme],
            f"measure-{at}-{row.scheme}",
            "dots" if row.pareto else "rings",
        )
        for row in rows
        if (row.accuracy_s is not None) == by_accuracy and row.measures[at] > 0
    )
    return Panel(title, f"time {span}, s", y_label.format(span), curves, *wide(curves))
