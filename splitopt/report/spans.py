"""Which part of a timeline a chart of it shows."""

from __future__ import annotations

import numpy as np

from splitopt.errors import InputError
from splitopt.timeline import Timeline

MOST_TASKS = 1500
MOST_ROWS = 40
SHARED_KINDS = ("node", "link", "interface", "server")

Span = tuple[float, float]


def chosen_span(
    timeline: Timeline, start_s: float | None = None, end_s: float | None = None
) -> Span:
    """Return the part of a timeline to draw, by default as much of its start as is legible.

    Raises
    ------
    InputError
        A part that is empty or outside the timeline.
    """
    first = 0.0 if start_s is None else start_s
    if not 0 <= first < max(timeline.makespan_s, 1e-300):
        raise InputError.at(
            "from", f"is {first:g} s, the timeline goes from 0 to {timeline.makespan_s:g} s"
        )
    if end_s is not None:
        if not first < end_s:
            raise InputError.at("to", f"is {end_s:g} s, it must be after {first:g} s")
        return first, min(end_s, timeline.makespan_s)
    shown = np.isin(timeline.resource, shown_rows(timeline)) & (timeline.end_s > first)
    starts = np.sort(timeline.start_s[shown])
    last = timeline.makespan_s if starts.size <= MOST_TASKS else float(starts[MOST_TASKS])
    return first, max(last, first + timeline.makespan_s / 200)


def shown_rows(timeline: Timeline) -> list[int]:
    """Choose the resources to draw: those that are shared, then others while there is room."""
    used = [usage.tasks > 0 for usage in timeline.usage]
    kinds = [resource.kind for resource in timeline.resources]
    every = [index for index in range(len(kinds)) if used[index]]
    shared = [index for index in every if kinds[index] in SHARED_KINDS]
    rest = [index for index in every if kinds[index] not in SHARED_KINDS]
    places = max(0, MOST_ROWS - len(shared))
    return sorted([*shared[:MOST_ROWS], *(rest if len(rest) <= places else rest[: min(places, 8)])])
