"""Gantt charts of timelines: SVG, PNG, and a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.report.charts import PHASE_COLOURS, check_suffix, save_figure
from splitopt.report.content import Column, Table
from splitopt.report.numbers import percent, seconds
from splitopt.report.spans import MOST_TASKS, SHARED_KINDS, Span, chosen_span, shown_rows
from splitopt.report.templating import template
from splitopt.report.timeline_lanes import timeline_lanes
from splitopt.storage.writing import write_atomic
from splitopt.timeline import FloatArray, Timeline, Usage

if TYPE_CHECKING:
    from splitopt.simulation.replay import Forecast, Replay

_BINS = 240
_EDGED = 700
_NUMBERED = 0.012
"""A bar at least this wide, relative to the chart, has its owner's number in it."""


def check_gantt_path(path: Path) -> None:
    """Reject a file whose suffix names no format."""
    check_suffix(path, "a Gantt chart")


def save_gantt(
    replay: Replay,
    path: Path,
    start_s: float | None = None,
    end_s: float | None = None,
    name: str = "",
) -> None:
    """Write a chart in the format that the suffix names; an HTML page has tables beside it.

    `name` is what was simulated, for the heading of the page.
    """
    check_gantt_path(path)
    span = chosen_span(replay.timeline, start_s, end_s)
    if path.suffix == ".html":
        write_atomic(path, replay_to_html(replay, span, name))
    else:
        save_figure(gantt_figure(replay.timeline, span), path)


def gantt_figure(timeline: Timeline, span: Span) -> Any:
    """Draw the tasks within a span, a row per resource, and below it how busy each is in all.

    The rows are the shared resources and, as far as there is room, those of single owners. A task
    with a share of its resource is drawn as a part of the row's height.
    """
    from matplotlib.figure import Figure

    rows = shown_rows(timeline)
    whole = span == (0.0, timeline.makespan_s)
    heights = [0.28 * len(rows) + 0.6, *([] if whole else [0.2 * len(rows) + 0.6])]
    figure = Figure(figsize=(9.6, sum(heights) + 0.7), layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    axes = panels[0]
    draw_tasks(axes, timeline, rows, span, phase_colours(timeline.phases))
    axes.set_xlabel("s")
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    if not whole:
        _draw_usage(panels[1], timeline, rows)
    return figure


def draw_tasks(
    axes: Any, timeline: Timeline, rows: Sequence[int], span: Span, colours: Mapping[str, str]
) -> None:
    """Draw the tasks of some resources, a row each, within a span of time."""
    from matplotlib.collections import PolyCollection

    inside = (timeline.end_s > span[0]) & (timeline.start_s < span[1])
    place = {resource: row for row, resource in enumerate(rows)}
    labelled = []
    edge = 0.4 if inside.sum() <= _EDGED else 0.0  # white edges would hide thin bars
    for phase, name in enumerate(timeline.phases):
        chosen = np.flatnonzero(
            inside & (timeline.phase == phase) & np.isin(timeline.resource, rows)
        )
        if not chosen.size:
            continue
        boxes = [_box(timeline, int(task), place, span) for task in chosen]
        axes.add_collection(
            PolyCollection(
                [box for box, _, _ in boxes],
                facecolors=colours[name],
                edgecolors="white",
                linewidths=edge,
                label=name,
            )
        )
        labelled += [(task, *middle) for task, (_, *middle) in zip(chosen, boxes, strict=True)]
    _number_bars(axes, timeline, rows, labelled, span)
    _label_rows(axes, timeline, rows)
    axes.set_xlim(span)


def replay_to_html(replay: Replay, span: Span, name: str = "") -> str:
    """Return a self-contained page: what was simulated, beside the forecasts, and who was busy."""
    timeline = replay.timeline
    facts = [
        (f"Simulated, {replay.span}", f"{seconds(replay.simulated_s)} s"),
        ("Sets the pace", replay.binding),
        *replay.facts,
    ]
    page = template("timeline.html").render(
        title=f"{name}: timeline"
        if name
        else f"Timeline of {timeline.origin.get('problem', 'a run')}",
        pairs=facts,
        forecasts=_forecast_table(replay),
        usage=_usage_table(timeline),
        chart=timeline_lanes(timeline, span),
        span=f"{seconds(span[0])} to {seconds(span[1])} s",
        whole=span == (0.0, timeline.makespan_s),
        origin=timeline.origin,
    )
    return str(page)


def _forecast_table(replay: Replay) -> Table:
    columns = (
        Column("model", "Model", text=True),
        Column("seconds", "Seconds"),
        Column("error", "Against the simulation"),
    )
    rows = tuple(
        {
            "model": item.model,
            "seconds": seconds(item.seconds),
            "error": error_text(replay, item),
        }
        for item in replay.forecasts
    )
    return Table("What the models promise", "", columns, rows, things="models")


def _usage_table(timeline: Timeline) -> Table:
    columns = (
        Column("resource", "Resource", text=True),
        Column("kind", "Kind", text=True),
        Column("busy", "Busy, s"),
        Column("utilisation", "Utilisation"),
        Column("tasks", "Tasks"),
    )
    rows = tuple(usage_rows(timeline))
    return Table("How busy everything is", "", columns, rows, things="resources")


def error_text(replay: Replay, forecast: Forecast) -> str:
    """Write how far a forecast is from the simulation."""
    error = 100 * replay.error_of(forecast)
    return "0 %" if abs(error) < 0.005 else f"{error:+.2f} %"


def usage_rows(timeline: Timeline) -> list[dict[str, str]]:
    """Return a row of text per shared resource, and one for the owners or devices of each kind."""
    makespan = timeline.makespan_s or 1.0
    found: list[dict[str, str]] = []
    others: dict[str, list[Usage]] = {}
    for usage in timeline.usage:
        if not usage.tasks:
            continue
        if usage.resource.kind in SHARED_KINDS:
            found.append(
                {
                    "resource": usage.resource.name,
                    "kind": usage.resource.kind,
                    "busy": seconds(usage.busy_s),
                    "utilisation": f"{percent(usage.busy_s / makespan)} %",
                    "tasks": f"{usage.tasks:,}",
                }
            )
        else:
            others.setdefault(usage.resource.kind, []).append(usage)
    for kind, group in others.items():
        busy = [usage.busy_s for usage in group]
        found.append(
            {
                "resource": f"{len(group)} x {kind}",
                "kind": f"{kind}, mean",
                "busy": seconds(sum(busy) / len(busy)),
                "utilisation": f"{percent(sum(busy) / len(busy) / makespan)} % "
                f"(up to {percent(max(busy) / makespan)})",
                "tasks": f"{sum(usage.tasks for usage in group):,}",
            }
        )
    return found


def phase_colours(phases: Sequence[str]) -> dict[str, str]:
    """Assign each phase a colour of its own."""
    return {name: PHASE_COLOURS[i % len(PHASE_COLOURS)] for i, name in enumerate(phases)}


def _box(
    timeline: Timeline, task: int, place: dict[int, int], span: Span
) -> tuple[Sequence[tuple[float, float]], float, float]:
    """Compute the corners of a task's bar, its middle and its width within the span."""
    left = max(float(timeline.start_s[task]), span[0])
    right = min(float(timeline.end_s[task]), span[1])
    row = place[int(timeline.resource[task])]
    low, high = row + 0.4 - 0.8 * _height(timeline, task), row + 0.4
    return (
        ((left, low), (right, low), (right, high), (left, high)),
        (left + right) / 2,
        right - left,
    )


def _height(timeline: Timeline, task: int) -> float:
    return math.sqrt(float(timeline.share[task]))  # a small share stays visible


def _number_bars(
    axes: Any, timeline: Timeline, rows: Sequence[int], labelled: list[Any], span: Span
) -> None:
    """Write the owner's number into bars of shared resources that are wide enough."""
    if len(timeline.owners) < 2 or len(labelled) > MOST_TASKS:
        return
    for task, middle, width in labelled:
        kind = timeline.resources[timeline.resource[task]].kind
        wide = width >= _NUMBERED * (span[1] - span[0])
        if wide and kind in SHARED_KINDS and timeline.share[task] == 1:
            row = list(rows).index(int(timeline.resource[task]))
            number = str(int(timeline.owner[task]))
            axes.text(
                middle,
                row,
                number,
                ha="center",
                va="center",
                fontsize=6,
                color="white",
                clip_on=True,
            )


def _label_rows(axes: Any, timeline: Timeline, rows: Sequence[int]) -> None:
    axes.set_yticks(range(len(rows)), [timeline.resources[row].name for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _draw_usage(axes: Any, timeline: Timeline, rows: list[int]) -> None:
    """Draw how busy each resource is over the whole timeline."""
    grid = np.array([_busy_fraction(timeline, row) for row in rows])
    axes.imshow(
        grid,
        aspect="auto",
        cmap="Blues",
        vmin=0,
        vmax=1,
        extent=(0, timeline.makespan_s, len(rows) - 0.5, -0.5),
        interpolation="nearest",
    )
    _label_rows(axes, timeline, rows)
    axes.set_xlabel("s; the darker, the busier, over the whole timeline")


def _busy_fraction(timeline: Timeline, resource: int) -> FloatArray:
    """Shape (bins,): how much of each bin the tasks of a resource take, by their shares."""
    mine = timeline.resource == resource
    edges = np.linspace(0.0, timeline.makespan_s, _BINS + 1)
    share = timeline.share[mine]
    done = np.zeros(_BINS + 1)
    for times, sign in ((timeline.start_s[mine], 1.0), (timeline.end_s[mine], -1.0)):
        # Work that is done by a time is a sum of ramps, from prefix sums over the sorted times.
        order = np.argsort(times)
        count = np.searchsorted(times[order], edges, side="right")
        weight = np.concatenate(([0.0], np.cumsum(share[order])))[count]
        moment = np.concatenate(([0.0], np.cumsum((share * times)[order])))[count]
        done += sign * (weight * edges - moment)
    width = timeline.makespan_s / _BINS
    return np.clip(np.diff(done) / width if width else np.zeros(_BINS), 0.0, 1.0)
