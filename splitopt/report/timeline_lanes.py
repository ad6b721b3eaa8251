"""Gantt charts of timelines that a page can zoom."""

from __future__ import annotations

import math

import numpy as np

from splitopt.report.bars import Lane, Piece, lanes
from splitopt.report.numbers import duration
from splitopt.report.spans import Span, chosen_span, shown_rows
from splitopt.timeline import Timeline


def timeline_lanes(timeline: Timeline, span: Span | None = None) -> str:
    """Draw the tasks of a timeline within a span: by default as much of its start as is legible."""
    start, end = chosen_span(timeline) if span is None else span
    inside = (timeline.end_s > start) & (timeline.start_s < end)
    rows = []
    for index in shown_rows(timeline):
        tasks = np.flatnonzero(inside & (timeline.resource == index))
        pieces = [_piece(timeline, int(task)) for task in tasks]
        rows.append(Lane(timeline.resources[index].name, pieces))
    about = (
        f"Gantt chart of {len(rows)} resources from {duration(start)} to {duration(end)}; how busy "
        "each is stands in a table"
    )
    return lanes(rows, timeline.phases, (start, end), about)


def _piece(timeline: Timeline, task: int) -> Piece:
    phase = timeline.phases[timeline.phase[task]]
    owner = timeline.owners[timeline.owner[task]]
    start, end = float(timeline.start_s[task]), float(timeline.end_s[task])
    share = float(timeline.share[task])
    part = "" if share == 1 else f", share {100 * share:.3g} %"
    return Piece(
        phase,
        start,
        end,
        f"{owner}: {phase}, {start:,.6g} to {end:,.6g} s ({duration(end - start)}{part})",
        max(0.15, math.sqrt(share)),  # a small share stays visible
    )
