"""Predicted against measured: a table in the terminal, and a page with both Gantt charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.report.charts import svg_text
from splitopt.report.content import Column, Figure, Table
from splitopt.report.gantt import draw_tasks, phase_colours
from splitopt.report.grids import table_in_terminal
from splitopt.report.numbers import seconds
from splitopt.report.spans import Span, chosen_span, shown_rows
from splitopt.report.summary import PlanSummary
from splitopt.report.templating import template
from splitopt.report.training import KINDS
from splitopt.timeline import Timeline
from splitopt.training.validation.comparing import Unmatched, Validation
from splitopt.training.validation.measured import Measured

WITHIN = 0.15
"""A median step that is off by less than this is called as predicted."""
_KINDS = {
    **KINDS,
    "model": "device parts of the model",
    "masked": "masked device parts of the model",
    "secure": "keys and shares of secure aggregation",
    "tied": "gradients of tied weights, both ways",
    "setup": "frozen parameters, before the first round",
    "control": "states and commands, which no plan pays for",
    "server_received_smashed": "the main server received: smashed data",
    "server_received_labels": "the main server received: labels",
    "server_received_test_smashed": "the main server received: smashed test data",
    "fed_received_model": "the fed server received: client parts of the model",
}


def measured_to_terminal(found: Measured) -> RenderableType:
    """Lay out phases, steps, the whole, what explains the difference, and bytes."""
    summary = summarize_measured(found)
    parts: list[RenderableType] = [Text(summary.title, style="bold")]
    for table in summary.tables:
        parts += table_in_terminal(table)
    style = "bold green" if as_predicted(found.validation) else "bold red"
    parts.append(Text(summary.verdict, style=style))
    parts += [Text(f"{label}: {value}") for label, value in summary.facts]
    parts += [Text(f"Note: {note}", style="yellow") for note in summary.notes]
    return Group(*parts)


def measured_to_html(found: Measured) -> str:
    """Return a self-contained page: both charts on one axis, and the tables."""
    return str(
        template("validation.html").render(
            summary=summarize_measured(found), good=as_predicted(found.validation)
        )
    )


def as_predicted(validation: Validation) -> bool:
    """Whether the median step took as long as predicted, within `WITHIN`."""
    return abs(validation.steps.relative_error) <= WITHIN


def summarize_measured(found: Measured) -> PlanSummary:
    """Summarize a measured run as words, tables and a figure."""
    validation = found.validation
    span = _common_span(found.predicted, found.measured)
    whole = span[1] >= max(found.predicted.makespan_s, found.measured.makespan_s)
    part = "" if whole else f", {seconds(span[0])} to {seconds(span[1])} s"
    return PlanSummary(
        title=f"{found.name}: predicted and measured",
        verdict=_verdict(found),
        facts=(
            *_promise(found),
            ("Time scale", f"{found.time_scale:g}"),
            ("Rounds", str(found.rounds)),
            *found.facts,
        ),
        tables=tuple(
            table
            for table in (
                _phase_table(validation),
                _gain_table(validation),
                _bytes_table(found),
            )
            if table.rows
        ),
        figures=(
            Figure(
                f"Who works when{part}",
                lambda: pair_chart(found.predicted, found.measured, span),
                "Above as predicted, below as measured, both in seconds of the plan",
            ),
        ),
        notes=tuple(_notes(validation)),
    )


def pair_chart(predicted: Timeline, measured: Timeline, span: Span) -> str:
    """Draw two timelines one under the other, on the same axis, as an SVG element."""
    from matplotlib.figure import Figure as Drawing

    both = (("predicted", predicted), ("measured", measured))
    rows = [shown_rows(timeline) for _, timeline in both]
    colours = phase_colours(tuple(dict.fromkeys([*predicted.phases, *measured.phases])))
    heights = [0.28 * len(own) + 0.5 for own in rows]
    figure = Drawing(figsize=(9.6, sum(heights) + 0.9), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    labels: dict[str, Any] = {}
    for axes, (title, timeline), own in zip(panels, both, rows, strict=True):
        draw_tasks(axes, timeline, own, span, colours)
        axes.set_title(title, fontsize=10.5, loc="left")
        handles, names = axes.get_legend_handles_labels()
        labels |= dict(zip(names, handles, strict=True))
        axes.axvline(timeline.makespan_s, color="#1c2430", linewidth=0.9, linestyle=(0, (4, 2)))
    panels[1].set_xlabel("s")
    figure.legend(
        labels.values(),
        labels.keys(),
        loc="outside upper center",
        ncols=4,
        frameon=False,
        fontsize=9,
    )
    return svg_text(figure)


def _common_span(*timelines: Timeline) -> Span:
    """Return a part that is legible in both; all of them if that is."""
    ends = [chosen_span(timeline) for timeline in timelines if len(timeline)]
    whole = all(
        end == timeline.makespan_s for (_, end), timeline in zip(ends, timelines, strict=False)
    )
    last = [end for _, end in ends]
    return 0.0, 1.02 * max(last) if whole else min(last)


def _verdict(found: Measured) -> str:
    validation, steps = found.validation, found.validation.steps
    what = "The round" if found.rounds == 1 else f"All {found.rounds} rounds"
    text = (
        f"{what} took {seconds(validation.measured_s)} s where "
        f"{seconds(validation.predicted_s)} s were predicted ({_error(validation.relative_error)})"
    )
    if not steps.count:
        return f"{text}; no step was measured whole."
    return (
        f"{text}; of {steps.count:,} steps the median one is off by "
        f"{_error(steps.relative_error)}, half of them by "
        f"{_range(steps.stretch.low - 1, steps.stretch.high - 1)}."
    )


def _promise(found: Measured) -> list[tuple[str, str]]:
    """Set the plan's own promise beside the simulated and the measured seconds."""
    if found.promised_s is None:
        return []
    validation, promised = found.validation, found.promised_s
    simulated, measured = (
        f"{seconds(value)} s ({_error(_relative(promised, value))})"
        for value in (validation.predicted_s, validation.measured_s)
    )
    return [
        (
            "Promised by the plan",
            f"{seconds(promised)} s; simulated {simulated}, measured {measured}",
        )
    ]


def _phase_table(validation: Validation) -> Table:
    rows = [
        {
            "phase": row.phase,
            "tasks": f"{row.tasks:,}",
            "predicted": seconds(row.predicted_s),
            "measured": seconds(row.measured_s),
            "error": _error(row.relative_error),
            "spread": _range(row.stretch.low - 1, row.stretch.high - 1),
        }
        for row in validation.phases
    ]
    whole = {
        "phase": "the whole",
        "tasks": "",
        "predicted": seconds(validation.predicted_s),
        "measured": seconds(validation.measured_s),
        "error": _error(validation.relative_error),
        "spread": "",
    }
    return Table(
        heading="Phases",
        caption="Seconds of the plan over all parties, the relative error of the sum, and the "
        "quartiles of the errors of single tasks",
        columns=(
            Column("phase", "Phase", text=True),
            Column("tasks", "Tasks"),
            Column("predicted", "Predicted s"),
            Column("measured", "Measured s"),
            Column("error", "Error"),
            Column("spread", "Half of the tasks"),
        ),
        rows=(*rows, whole),
        things="phases",
    )


def _gain_table(validation: Validation) -> Table:
    difference = validation.measured_s - validation.predicted_s
    rows = [
        {"name": gain.name, "seconds": f"{gain.seconds:+.4g}"}
        for gain in sorted(validation.gains, key=lambda gain: -abs(gain.seconds))
        if abs(gain.seconds) > 1e-3 * max(abs(difference), 1e-9 * validation.predicted_s)
    ]
    return Table(
        heading="What explains the difference",
        caption="Seconds that each adds along the predicted critical path; together they are "
        f"the {difference:+.4g} s of the whole",
        columns=(Column("name", "What", text=True), Column("seconds", "Adds s")),
        rows=tuple(rows),
        things="phases",
    )


def _bytes_table(found: Measured) -> Table:
    rows = []
    for row in found.traffic:
        error = None if row.predicted is None else _relative(row.predicted, row.measured)
        rows.append(
            {
                "kind": _KINDS.get(row.kind, row.kind),
                "predicted": "" if row.predicted is None else f"{row.predicted:,.0f}",
                "measured": f"{row.measured:,.0f}",
                "error": "" if error is None else _error(error),
            }
        )
    return Table(
        heading="Bytes",
        caption="Payload of all parties, by the profile and as it was sent",
        columns=(
            Column("kind", "What", text=True),
            Column("predicted", "Predicted B"),
            Column("measured", "Measured B"),
            Column("error", "Error"),
        ),
        rows=tuple(rows),
        things="kinds",
    )


def _notes(validation: Validation) -> list[str]:
    found = [_missing(one, "were predicted and never measured") for one in validation.missing]
    found += [_missing(one, "were measured and not predicted") for one in validation.extra]
    if validation.steps.out_of_order:
        found.append(
            f"{validation.steps.out_of_order:,} steps had their phases in another order than the "
            "plan"
        )
    return found


def _missing(one: Unmatched, what: str) -> str:
    return (
        f"{one.tasks:,} tasks of {one.owner} {what}, from batch {one.first_batch} on: "
        f"{_listed(one.phases)}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _relative(predicted: float, measured: float) -> float:
    from splitopt.training.validation.comparing import relative

    return relative(predicted, measured)


def _range(low: float, high: float) -> str:
    return "" if np.isnan(low) else f"{_error(low)} to {_error(high)}"


def _error(value: float) -> str:
    """Write a relative error; what was predicted to be 0 has none."""
    if np.isnan(value):
        return "not predicted"
    return "0 %" if abs(value) < 5e-5 else f"{100 * value:+.2f} %"
