"""How values look in a console and in a notebook: facts, tables and notes, as text and as HTML.

`splitopt.showing` finds this module by its name. A new kind of value is one entry of `_VIEWS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from splitopt.plan_result import PlanResult
from splitopt.planning.comparison.rows import Comparison
from splitopt.plans import Plan
from splitopt.problems.base import Problem
from splitopt.profiles.published.listing import listed
from splitopt.profiles.table.profile import ModelProfile
from splitopt.report.content import Column, Table
from splitopt.report.numbers import duration, gap
from splitopt.report.summary import summarize
from splitopt.results import Result
from splitopt.scenario import Scenario
from splitopt.training.history import History
from splitopt.units import counted, readable_bytes, readable_work

MOST_ROWS = 20
"""Of a table; the first half and the last half of more."""


@dataclass(frozen=True)
class View:
    """What is shown of a value.

    Parameters
    ----------
    title
        One line.
    facts
        Labels and values.
    tables, notes
        As in reports.
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


def view_of(value: Any) -> View:
    """Return what is shown of a value."""
    for kind, view in _VIEWS:
        if isinstance(value, kind):
            return view(value)
    return View(repr(value))


def as_text(value: Any) -> str:
    """Return a value as some lines of text, tables in columns."""
    view = view_of(value)
    lines = [view.title, *(f"  {label}: {text}" for label, text in view.facts)]
    for table in view.tables:
        lines += ["", *_text_table(table)]
    return "\n".join([*lines, *(f"Note: {note}" for note in view.notes)])


def as_html(value: Any) -> str:
    """Return a value as HTML for a notebook: no script, no outside reference, all text escaped."""
    view = view_of(value)
    parts = [f"<div><strong>{escape(view.title)}</strong>"]
    if view.facts:
        rows = "".join(
            f'<tr><th style="text-align:left">{escape(label)}</th>'
            f'<td style="text-align:left">{escape(text)}</td></tr>'
            for label, text in view.facts
        )
        parts.append(f"<table><tbody>{rows}</tbody></table>")
    parts += [_html_table(table) for table in view.tables]
    parts += [f"<p>Note: {escape(note)}</p>" for note in view.notes]
    return "".join([*parts, "</div>"])


def _html_table(table: Table) -> str:
    aligned = ["left" if column.text else "right" for column in table.columns]
    head = "".join(
        f'<th style="text-align:{side}">{escape(column.heading)}</th>'
        for side, column in zip(aligned, table.columns, strict=True)
    )
    rows = "".join(f"<tr>{''.join(cells)}</tr>" for cells in _html_rows(table, aligned))
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _html_rows(table: Table, aligned: Sequence[str]) -> Iterable[list[str]]:
    for row in _some(table.rows):
        if row is None:
            left = len(table.rows) - MOST_ROWS
            yield [f'<td colspan="{len(aligned)}">... {left:,} more {escape(table.things)}</td>']
            continue
        yield [
            f'<td style="text-align:{side}">{escape(row[column.key])}</td>'
            for side, column in zip(aligned, table.columns, strict=True)
        ]


def _text_table(table: Table) -> list[str]:
    shown = list(_some(table.rows))
    widths = [
        max([len(column.heading), *(len(row[column.key]) for row in shown if row is not None)])
        for column in table.columns
    ]
    lines = [table.caption] if table.caption else []
    head = {column.key: column.heading for column in table.columns}
    for row in (head, *shown):
        if row is None:
            lines.append(f"  ... {len(table.rows) - MOST_ROWS:,} more {table.things}")
            continue
        cells = [
            row[column.key].ljust(width) if column.text else row[column.key].rjust(width)
            for column, width in zip(table.columns, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _some(rows: Sequence[Mapping[str, str]]) -> Iterable[Mapping[str, str] | None]:
    """Yield the rows, of many the first and the last ones with None between."""
    if len(rows) <= MOST_ROWS:
        yield from rows
        return
    yield from rows[: MOST_ROWS // 2]
    yield None
    yield from rows[-MOST_ROWS // 2 :]


def _plan(plan: Plan) -> View:
    summary = summarize(plan)
    main = tuple(table for table in summary.tables if table.main)
    facts = (("Verdict", summary.verdict), *summary.facts)
    return View(f"Plan {summary.title}", facts, main[:1], summary.notes)


def _plan_result(result: PlanResult) -> View:
    return View("Result of a plan", tuple(_result_facts(result)))


def _result(result: Result) -> View:
    title = f"Result {result.problem}, objective {result.objective_name}"
    return View(title, tuple(_result_facts(result)))


def _result_facts(result: Result | PlanResult) -> Iterable[tuple[str, str]]:
    yield "Outcome", f"{result.outcome} ({result.solver}, stopped: {result.stop_reason})"
    if math.isfinite(result.objective):
        yield "Objective", f"{result.objective:,.7g}"
    if math.isfinite(result.bound):
        yield "No decision is below", f"{result.bound:,.7g}"
        yield "Gap", gap(result.gap if math.isfinite(result.gap) else None)
    if result.violations:
        yield "Violates", ", ".join(f"{name} by {by:.3g}" for name, by in result.violations.items())
    if result.message:
        yield "Message", result.message
    yield "Took", f"{result.times.total_s:.3g} s, {result.iterations:,} iterations"


def _scenario(scenario: Scenario) -> View:
    facts = [("Model", scenario.model.profile or str(scenario.model.file))]
    if (section := scenario.without_fleet) is not None:
        stated = getattr(scenario, section).model_dump(mode="json", exclude_none=True)
        rows = [{"field": name, "value": text} for name, text in _texts(stated).items()]
        table = replace(_table("fields", rows), caption=section.capitalize())
        return View(f"Scenario {scenario.name}", tuple(facts), (table,))
    facts += [("Devices", f"{scenario.device_count():,} in {len(scenario.devices):,} entries")]
    for name in ("servers", "nodes"):
        if entries := getattr(scenario, name):
            facts.append((name.capitalize(), ", ".join(entry.name for entry in entries)))
    training = scenario.training
    rounds, epochs = counted(training.rounds, "round"), counted(training.epochs, "epoch")
    facts.append(("Training", f"{rounds} of {epochs}"))
    if scenario.note:
        facts.append(("Note", scenario.note))
    entries = [device for _, device in zip(range(MOST_ROWS), scenario.devices, strict=False)]
    rows = [_texts(device.model_dump(mode="json", exclude_none=True)) for device in entries]
    left = len(scenario.devices) - len(rows)
    caption = f"The first {len(rows)} entries of the devices; {left:,} more" if left else "Devices"
    table = replace(_table("devices", rows), caption=caption)
    return View(f"Scenario {scenario.name}", tuple(facts), (table,))


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            found |= {f"{key} {inner}": text for inner, text in _texts(value).items()}
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            for place, part in enumerate(value):
                found |= _texts({f"{key}[{place}]": part})
        else:
            found[key] = value if isinstance(value, str) else f"{value}"
    return found


def _table(things: str, rows: Sequence[Mapping[str, str]]) -> Table:
    """Return a table of rows that may lack fields; text fields are those without a digit."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    columns = tuple(
        Column(key, key, text=not any(row.get(key, "")[:1].isdigit() for row in rows))
        for key in keys
    )
    filled = tuple({key: row.get(key, "") for key in keys} for row in rows)
    return Table(things.capitalize(), "", columns, filled, things)


def _problem(problem: Problem[Any]) -> View:
    facts = [("Objective", problem.objective)]
    for name in ("devices", "layers", "nodes", "samples"):
        count = getattr(problem, name, None)
        if isinstance(count, int):
            facts.append((name.capitalize(), f"{count:,}"))
    return View(f"Problem {problem.name}", tuple(facts))


def _profile(profile: ModelProfile) -> View:
    about = listed(profile)
    facts = (
        ("Layers", str(about.layers)),
        ("Parameters", f"{about.parameters:,}"),
        ("Numbers", f"{about.kind}: {about.source}"),
        ("Licence", about.license),
    )
    rows = [
        {
            "cut": str(index + 1),
            "behind": layer,
            "device": _work(profile, profile.device_forward_flop[index], "device", index),
            "server": _work(profile, profile.server_forward_flop[index], "server", index),
            "sends up": readable_bytes(float(profile.smashed_bytes[index])),
            "leakage": "" if profile.leakage is None else f"{profile.leakage[index]:.3g}",
        }
        for index, layer in enumerate(profile.layers)
    ]
    table = _table("cuts", [{k: v for k, v in row.items() if v} for row in rows])
    return View(f"Model profile {profile.name}", facts, (table,))


def _work(profile: ModelProfile, forward: float, side: str, index: int) -> str:
    if not profile.has_work:
        return ""
    backward = getattr(profile, f"{side}_backward_flop")[index]
    return readable_work(float(forward + backward))


def _comparison(comparison: Comparison) -> View:
    from splitopt.report.comparison import ranked_table

    title = f"Comparison {comparison.scenario}: {comparison.profile}"
    facts = (("Advice", comparison.advice),)
    return View(title, facts, (ranked_table(comparison),), comparison.notes)


def _history(history: History) -> View:
    facts = [("Rounds", f"{len(history):,}")]
    if history.clock_s is not None:
        facts.append(("Clock", duration(history.clock_s)))
    if (best := history.best) is not None and (value := history.value_of(best)) is not None:
        label = f"Best {history.metric or 'test loss'}"
        facts.append((label, f"{value:.4g} in round {best.round}"))
    facts.append(("Sent", readable_bytes(float(sum(history.traffic_bytes().values())))))
    rows = [
        {
            "round": str(row.round),
            "loss": "" if row.loss is None else f"{row.loss:.4g}",
            "test loss": "" if row.test_loss is None else f"{row.test_loss:.4g}",
            history.metric or "metric": _metric(history, row),
            "clock s": "" if row.clock_s is None else f"{row.clock_s:,.4g}",
        }
        for row in history
    ]
    return View("History of a training", tuple(facts), (_table("rounds", rows),))


def _metric(history: History, row: Any) -> str:
    value = history.value_of(row)
    return "" if value is None else f"{value:.4g}"


_VIEWS: tuple[tuple[type[Any], Callable[[Any], View]], ...] = (
    (Plan, _plan),
    (PlanResult, _plan_result),
    (Result, _result),
    (Scenario, _scenario),
    (Problem, _problem),
    (ModelProfile, _profile),
    (Comparison, _comparison),
    (History, _history),
)
