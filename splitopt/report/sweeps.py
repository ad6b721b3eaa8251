"""What a sweep over one or two fields found: tables, sentences and a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from splitopt.documents.checks import is_number
from splitopt.errors import InputError
from splitopt.planning.comparison.grid import Grid
from splitopt.planning.comparison.rows import NAMES, behind, tied
from splitopt.planning.comparison.sweeping import Sweep
from splitopt.report.content import Column, Table
from splitopt.report.numbers import seconds
from splitopt.units import KINDS, parse

if TYPE_CHECKING:
    from splitopt.report.charts import Curve, Panel, Style

_NONE = "-"
_DECADES = 30
"""Shorter ranges are drawn on a linear axis, which has more numbers on it."""


def sweep_table(sweep: Sweep) -> Table:
    """Return the best scheme, its time, what ties with it and the next one for each value."""
    columns = (
        Column("value", sweep.field, text=True),
        Column("best", "Best", text=True),
        Column("time", "Seconds"),
        Column("ties", "Ties", text=True),
        Column("next", "Next", text=True),
        Column("ratio", "Times as long"),
    )
    rows = []
    for value, comparison in zip(sweep.values, sweep.comparisons, strict=True):
        ranked = comparison.feasible
        row = {"value": str(value), "best": "none", "time": _NONE}
        row |= {"ties": _NONE, "next": _NONE, "ratio": _NONE}
        if ranked:
            row |= {"best": ranked[0].label, "time": seconds(ranked[0].ranked_by)}
            row["ties"] = ", ".join(r.label for r in tied(ranked)) or _NONE
        if ranked and (rest := behind(ranked)):
            ratio = rest[0].ranked_by / ranked[0].ranked_by
            row |= {"next": rest[0].label, "ratio": f"{ratio:.4g}"}
        rows.append(row)
    caption = f"The best scheme as {sweep.field} changes; within 2 % is a tie"
    return Table("Where the best scheme changes", caption, columns, tuple(rows), "values")


def change_lines(sweep: Sweep) -> list[str]:
    """Report between which values the best scheme changes."""
    found = [
        f"Between {a} and {b} the best scheme changes from {_label(one)} to {_label(other)}"
        for a, b, one, other in sweep.changes
    ]
    if found:
        return found
    held = sweep.best[0]
    if held is None:
        return ["No scheme is possible at any of the values"]
    tied_too = ", or ties with the best," if set(sweep.best) != {held} else ""
    return [f"{_label(held)} is the best scheme{tied_too} for all values"]


def _label(scheme: str | None) -> str:
    return "none" if scheme is None else NAMES[scheme]


def grid_table(grid: Grid) -> Table:
    """Return the best scheme and its time for each pair of values; + where others tie with it."""
    rows_of, columns_of = grid.fields
    columns = (
        Column("value", rows_of, text=True),
        *(Column(f"at {k}", str(value), text=True) for k, value in enumerate(grid.values[1])),
    )
    rows = []
    for value, comparisons in zip(grid.values[0], grid.comparisons, strict=True):
        row = {"value": str(value)}
        for k, comparison in enumerate(comparisons):
            ranked = comparison.feasible
            row[f"at {k}"] = "none"
            if ranked:
                more = " +" if tied(ranked) else ""
                row[f"at {k}"] = f"{ranked[0].label}{more} {seconds(ranked[0].ranked_by)} s"
        rows.append(row)
    caption = (
        f"The best scheme over {rows_of} (down) and {columns_of} (across); + others are within 2 %"
    )
    return Table("Where the best scheme changes", caption, columns, tuple(rows), "values")


def sweep_chart(sweep: Sweep, styles: Mapping[str, Style]) -> str | None:
    """Draw seconds of every scheme over the values, if these are numbers of one unit."""
    from splitopt.report.charts import panels

    panel = sweep_panel(sweep, styles)
    return None if panel is None else panels([panel])


def sweep_panel(sweep: Sweep, styles: Mapping[str, Style]) -> Panel | None:
    """Return seconds of every scheme over the values, None of what are no numbers of one unit."""
    from splitopt.report.charts import Curve, Panel

    read = _numbers(sweep.values)
    if read is None:
        return None
    numbers, unit = read
    curves = []
    for scheme in NAMES:
        points = [
            (x, row.ranked_by)
            for x, comparison in zip(numbers, sweep.comparisons, strict=True)
            for row in comparison.feasible
            if row.scheme == scheme
        ]
        if points:
            x, y = zip(*sorted(points), strict=True)
            curves.append(Curve(x, y, styles[scheme], f"sweep-{scheme}"))
    x_label = f"{sweep.field}{', ' + unit if unit else ''}"
    return Panel("", x_label, "seconds", tuple(curves), *wide(curves))


def wide(curves: Sequence[Curve]) -> tuple[bool, bool]:
    """Return for each axis whether its numbers span decades, so that it should be logarithmic."""
    axes = [[v for c in curves for v in c.x], [v for c in curves for v in c.y]]
    x, y = (bool(axis) and min(axis) > 0 and max(axis) >= _DECADES * min(axis) for axis in axes)
    return x, y


def _numbers(values: Sequence[Any]) -> tuple[list[float], str] | None:
    """Return values such as 4 or '50 Mbit/s' in the unit of the first, None if they have none."""
    if all(is_number(value) for value in values):
        return [float(value) for value in values], ""
    for kind in KINDS:
        try:
            found = [parse(value, kind) for value in values]
        except InputError:
            continue
        unit = values[0].strip().lstrip("+-.0123456789eE").strip()
        one = parse(f"1 {unit}", kind)
        return [value / one for value in found], unit
    return None
