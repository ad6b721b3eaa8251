"""What a page needs to plan anew while its sliders move: the numbers behind a plan, by group.

The page's script (``assets/replan.js``) scales these numbers as the sliders say, and proves how far
its plan is from the best one; see the page about plans of the documentation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from splitopt.plans import Plan
from splitopt.problems.cut_and_resources.choice_tables import has_choices
from splitopt.problems.cut_and_resources.group_tables import fitting
from splitopt.problems.limits import allowed_by_tied
from splitopt.report.plan_page.opened import OpenedStar, opened_star
from splitopt.report.replanning_clusters import cluster_data
from splitopt.report.replanning_pipeline import pipeline_data
from splitopt.report.summary import report_of

MOST_CELLS = 6_000
"""Groups times cuts of which a page carries the numbers."""
OBJECTIVES = ("sum", "makespan", "latency_energy")
PHASES = ("download", "upload", "server", "device")


class Replanning(NamedTuple):
    """The data of a page that plans anew, or why it does not; both None says nothing.

    Parameters
    ----------
    data
        JSON-ready, what ``Replan.changed`` of the script takes, and what the sliders show.
    why_not
        One sentence.
    scripts
        Assets that plan anew and show it, in the order in which they are run.
    """

    data: dict[str, Any] | None = None
    why_not: str | None = None
    scripts: tuple[str, ...] = ("shares.js", "replan.js", "what_if.js")


def replanning(plan: Plan, opened: OpenedStar | None = None) -> Replanning:
    """Return what the page of a plan needs to plan anew; `opened` are its objects, if known."""
    sliders = getattr(report_of(plan), "SLIDERS", None)
    if sliders == "pipeline":
        found = pipeline_data(plan)
        if isinstance(found, dict):
            return Replanning(found, scripts=("pipeline.js", "what_if_pipeline.js"))
        return Replanning(why_not=found)
    if sliders == "clusters":
        found = cluster_data(plan)
        if isinstance(found, dict):
            scripts = ("cluster_cost.js", "clusters.js", "what_if_clusters.js")
            return Replanning(found, scripts=scripts)
        return Replanning(why_not=found)
    if sliders != "shares":
        return Replanning()
    if plan.objective not in OBJECTIVES:
        return Replanning(
            why_not="It is for plans of seconds: of energy alone each device takes its own best "
            "cut, whatever the others do."
        )
    opened = opened_star(plan) if opened is None else opened
    if has_choices(opened.scenario):
        return Replanning(
            why_not="It is for devices that choose a cut alone, and these choose more: servers, "
            "bits, clocks or energy."
        )
    if opened.scenario.robust is not None:
        return Replanning(
            why_not="It is for plans whose devices are all as fast as stated, and this one is made "
            "for the worst case."
        )
    layers = opened.profile.layer_count
    if opened.groups is None or len(opened.groups) * layers > MOST_CELLS:
        return Replanning(
            why_not=f"It is for fleets of up to {MOST_CELLS // layers:,} different devices with "
            "this model."
        )
    return Replanning() if opened.problem is None else Replanning(_data(plan, opened))


def _data(plan: Plan, opened: OpenedStar) -> dict[str, Any]:
    scenario, profile, groups, problem, counts = opened
    assert groups is not None  # the caller saw to it
    assert problem is not None
    limit = scenario.privacy.leakage_limit
    limited = limit is not None or not np.isnan(groups.leakage_limit).all()
    budget = problem.budgets
    spent = plan.objective == "latency_energy"
    fits = fitting(groups, profile, slice(None)) & allowed_by_tied(profile, exchanging=True)
    return {
        "objective": plan.objective,
        "value": plan.result["objective"],
        "bound": plan.result["bound"],
        "cuts": [f"{cut} {name}" for cut, name in enumerate(profile.layers, 1)],
        "groups": [
            {
                "name": groups.names[g],
                "count": int(groups.count[g]),
                "fits": fits[g].astype(int).tolist(),
                "leakage_limit": _or_none(groups.leakage_limit[g]),
                "priority": 1.0 if problem.priority is None else float(problem.priority[g]),
                "device_w": float(problem.device_w[g]) if spent else 0.0,  # type: ignore[index]
                "radio_w": float(problem.radio_w[g]) if spent else 0.0,  # type: ignore[index]
                "compute": _or_none(groups.compute[g]),
            }
            for g in range(len(groups))
        ],
        **{name: problem.factors.class_table(part).tolist() for part, name in enumerate(PHASES)},
        "shared_links": bool(problem.shared_links),
        "seconds_per_joule": float(problem.seconds_per_joule or 0) if spent else None,
        "leakage": profile.leakage.tolist() if limited and profile.leakage is not None else None,
        "leakage_limit": limit,
        "budget": None
        if budget is None
        else {
            "name": budget.names[0],
            "limit": float(budget.limit[0]),
            "use": budget.use[:, :, 0].tolist(),
        },
        "counts": None if counts is None else counts.tolist(),
        "rates": {
            "downlink": _one(groups.downlink),
            "uplink": _one(groups.uplink),
            "server": scenario.servers[0].compute,
        },
    }


def _or_none(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _one(rates: Any) -> float | None:
    """Return the rate that all devices have, None where they differ."""
    return float(rates[0]) if (rates == rates[0]).all() else None
