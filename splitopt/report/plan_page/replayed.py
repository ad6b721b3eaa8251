"""A round as it is simulated, on the page of a plan whose parties wait for each other."""

from __future__ import annotations

from math import ceil

from splitopt.errors import InputError
from splitopt.plans import Plan
from splitopt.report.content import Figure
from splitopt.report.numbers import duration
from splitopt.report.plan_page.section import Section
from splitopt.report.spans import chosen_span
from splitopt.report.summary import report_of
from splitopt.report.timeline_lanes import timeline_lanes
from splitopt.scenario import Scenario

MOST_BATCHES = 20_000
"""Mini-batches of a round that a page simulates."""


def replayed(plan: Plan) -> Section | None:
    """Return a Gantt chart of the round as it is simulated, None of what is not simulated."""
    if not getattr(report_of(plan), "SHOWS_ROUND", False):
        return None
    heading = "Who waits for whom"
    if batches_of_round(plan) > MOST_BATCHES:
        words = "A round is too long to be drawn here; splitopt simulate PLAN.json --gantt does it."
        return Section("waiting", heading, (words,))
    from splitopt.planning.replaying import simulate

    try:
        timeline = simulate(plan).timeline
    except InputError as error:
        return Section("waiting", heading, (f"Not drawn: {error}.",))
    span = chosen_span(timeline)
    caption = "Simulated event by event"
    if span[1] < timeline.makespan_s:
        caption += f"; the first {duration(span[1])} of {duration(timeline.makespan_s)}"
    chart = Figure("", lambda: timeline_lanes(timeline, span), caption)
    return Section("waiting", heading, figures=(chart,))


def batches_of_round(plan: Plan) -> int:
    """Return how many mini-batches a round of the scenario has."""
    scenario = Scenario.from_dict(plan.scenario, "plan: scenario")
    return scenario.training.epochs * sum(
        device.count * ceil(device.samples / (device.batch_size or device.samples))
        for device in scenario.devices
        if device.samples
    )
