"""What differs between two plans, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.planning.differing.values import (
    Certificate,
    DecisionChange,
    InputChange,
    NumberChange,
    PlanDiff,
)
from splitopt.report.content import Column, Table
from splitopt.report.grids import MOST_ROWS, table_in_terminal
from splitopt.report.numbers import gap, percent, plain, seconds
from splitopt.units import readable_bytes

_MOST_NAMES = 3
_WORDS = {
    "download_share": "Down %",
    "upload_share": "Up %",
    "server_share": "Serv %",
    "cut": "Cut",
    "server": "Server",
    "batch_size": "Batch",
    "subcarriers": "Subcarriers",
    "works_with": "Works with",
    "layers": "Layers",
    "receives_from": "Receives from",
    "aggregation_interval": "Aggregation every",
    "owners_cuts": "Owners' cuts",
    "bits_up": "Bits up",
    "bits_down": "Bits down",
    "adapter_rank": "Rank",
    "clock": "Clock",
    "transmit_power_w": "Power W",
    "left_out": "Left out",
}
_NUMBERS = {
    "objective": "Objective",
    "round_s": "Round",
    "training_s": "Whole training",
    "total_s": "Sum over devices",
    "period_s": "Period",
    "exchange_s": "Exchange",
    "energy_j": "Energy of a round",
    "traffic_bytes": "Traffic of a round",
    "exchange_bytes": "Exchanged",
    "device_memory_bytes": "Memory of a device",
    "rounds": "Rounds",
    "round_cost": "Cost of a round",
    "training_cost": "Cost of the training",
    "leakage": "Leakage, at most",
    "worst_case_s": "Worst case",
}


def diff_to_terminal(diff: PlanDiff) -> RenderableType:
    """Lay out what differs: what it gains, what was given, decided, promised and proved."""
    parts: list[RenderableType] = [Text(diff.gains, style="bold")]
    if diff.inputs:
        parts += _inputs(diff.inputs)
    else:
        parts.append(Text("Inputs: the same"))
    if diff.decision:
        for table in _decisions(diff.decision):
            parts += table_in_terminal(table, wrap=True)
    elif diff.problem[0] == diff.problem[1] and diff.prediction:
        parts.append(Text("Decision: the same"))
    if diff.prediction:
        parts += table_in_terminal(_numbers(diff.prediction))
    for name, one in zip("AB", diff.certificates, strict=True):
        parts.append(Text(f"{name}: {certificate_words(one, diff.unit)}"))
    parts += [Text(f"Note: {note}", style="yellow") for note in diff.notes]
    return Group(*parts)


def certificate_words(one: Certificate, unit: str | None) -> str:
    """Return how good a plan is and how that is known."""
    if one.objective is None:
        return f"no decision ({one.outcome}, {one.solver})"
    end = f" {unit}" if unit else ""
    if one.outcome == "optimal":
        return f"optimal by proof, {one.objective:,.7g}{end} ({one.solver})"
    far = "how far from the best is unknown"
    if one.bound is not None:
        far = f"at most {gap(one.gap)} above the best"
    return f"feasible, {one.objective:,.7g}{end}, {far} ({one.solver}, stopped: {one.stop_reason})"


def _inputs(changes: tuple[InputChange, ...]) -> list[RenderableType]:
    found: list[RenderableType] = [Text("What was given")]
    found += [Text(f"  {_input_words(change)}") for change in changes[:MOST_ROWS]]
    if len(changes) > MOST_ROWS:
        found.append(Text(f"  ... and {len(changes) - MOST_ROWS:,} more: see --json"))
    return found


def _input_words(change: InputChange) -> str:
    place = f"{change.section} {_names(change.names)}" if change.names else change.section
    if change.field:
        place += f": {change.field}" if change.names else f".{change.field}"
    if change.words is not None:
        return f"{place} {change.words}"
    if change.after is None:
        return f"{place}: only in A ({_value(change.before)})"
    if change.before is None:
        return f"{place}: only in B ({_value(change.after)})"
    words = f"{place}: {_arrow(_value(change.before), _value(change.after))}"
    if change.factor is None or change.factor <= 0:
        return words
    return f"{words} ({plain(float(f'{change.factor:.4g}'))} times)"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:,.10g}"


def _names(names: tuple[str, ...]) -> str:
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    more = len(names) - _MOST_NAMES + 1
    return f"{', '.join(names[: _MOST_NAMES - 1])} and {more:,} more"


def _decisions(changes: tuple[DecisionChange, ...]) -> list[Table]:
    """Return a table for what is decided for all, and one for who has what."""
    found = []
    for for_all in (True, False):
        own = [change for change in changes if bool(change.names) != for_all]
        if own:
            found.append(_decision_table(own, for_all))
    return found


def _decision_table(changes: list[DecisionChange], for_all: bool) -> Table:
    order = list(_WORDS)
    fields = list(dict.fromkeys(name for one in changes for name in (*one.before, *one.after)))
    fields.sort(key=lambda name: order.index(name) if name in order else len(order))
    columns = [] if for_all else [Column("names", "Who", text=True)]
    columns += [
        Column(name, _WORDS.get(name, name), text=not name.endswith("_share")) for name in fields
    ]
    rounds = any(change.round_s is not None for change in changes)
    if rounds:
        columns.append(Column("round", "Round s"))
    rows = []
    for one in changes:
        row = {"names": _names(one.names)}
        row |= {name: _step(name, one.before, one.after) for name in fields}
        if rounds:
            row["round"] = "" if one.round_s is None else _arrow(*map(seconds, one.round_s))
        rows.append(row)
    caption = "What was decided for all" if for_all else "What was decided for whom"
    return Table("Decision", caption, tuple(columns), tuple(rows), "changes")


def _step(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    parted = name.endswith("_share") and None in (before.get(name), after.get(name))
    if parted or (name not in before and name not in after):
        return ""  # a group with several cuts has no one share
    return _arrow(*(_decided(name, values.get(name)) for values in (before, after)))


def _decided(name: str, value: Any) -> str:
    if value is None:
        return "none"
    return percent(value) if name.endswith("_share") else str(value)


def _arrow(before: str, after: str) -> str:
    return f"{before} -> {after}"


def _numbers(changes: tuple[NumberChange, ...]) -> Table:
    columns = (
        Column("name", "Promise", text=True),
        Column("before", "A"),
        Column("after", "B"),
        Column("change", "B - A"),
        Column("relative", "%"),
    )
    return Table("Prediction", "What is promised", columns, tuple(map(_number_row, changes)))


def _number_row(change: NumberChange) -> dict[str, str]:
    relative = change.relative
    return {
        "name": _NUMBERS.get(change.name, change.name),
        "before": _number(change.before, change.unit),
        "after": _number(change.after, change.unit),
        "change": "0" if change.change == 0 else _number(change.change, change.unit),
        "relative": "" if relative is None else f"{100 * relative:+.3g}" if relative else "0",
    }


def _number(value: float, unit: str) -> str:
    if unit == "s":
        return f"{seconds(value)} s"
    if unit == "B":
        return f"{'-' if value < 0 else ''}{readable_bytes(abs(value))}"
    return f"{value:,.6g}{' ' if unit else ''}{unit}"
