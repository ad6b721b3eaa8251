"""Pictures of a plan: where the time of a round goes, and who gets which share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from splitopt.errors import InputError
from splitopt.plans import Plan, PlanLike, as_plan
from splitopt.report.alike import with_alike_rows
from splitopt.report.charts import COLOURS
from splitopt.report.plan_page.replayed import MOST_BATCHES, batches_of_round
from splitopt.report.plan_page.waiting import PHASES
from splitopt.report.plotting.axes import (
    axes_for,
    height_of_rows,
    legend_below,
    plain_text,
    some_of,
    stacked_rows,
)
from splitopt.report.plotting.of_runs import plot_tasks
from splitopt.report.summary import report_of

MOST_ROWS = 30
"""Devices of a picture; they are the slowest of more."""
_SHARES = {
    "download_share": "downlink",
    "upload_share": "uplink",
    "server_share": "server",
}


def plot_round(plan: PlanLike, ax: Any = None) -> Any:
    """Draw where the time of a round goes, by device, or of a batch by node of a pipeline.

    Devices are the slowest first, with the wait for the slowest of them; alike ones of a group are
    one bar. Of a plan whose parties wait for each other, the simulated round is drawn.

    Parameters
    ----------
    plan
        A plan, the path of its file, or its plain data.
    ax
        Axes of Matplotlib; by default those of a new figure.

    Returns
    -------
    The axes; seconds to the right.

    Raises
    ------
    InputError
        The plan has no decision, or is of a problem without such a picture.
    """
    plan = _decided(plan)
    rows = list(with_alike_rows(plan).rows())
    if "nodes" in (plan.prediction or {}):
        return _batch(plan, ax)
    if rows and PHASES.keys() <= rows[0].keys():
        return _phases(plan, rows, ax)
    if getattr(report_of(plan), "SHOWS_ROUND", False):
        if batches_of_round(plan) > MOST_BATCHES:
            raise InputError("a round of the plan is too long to be drawn; simulate it instead")
        from splitopt.planning.replaying import simulate

        return plot_tasks(simulate(plan).timeline, ax=ax)
    raise InputError(f"a plan of {plan.problem} has no picture of a round; rows() has its numbers")


def plot_shares(plan: PlanLike, ax: Any = None) -> Any:
    """Draw which share of downlink, uplink and server each device gets, in percent.

    Parameters and errors are those of `plot_round`; the largest shares come first, alike devices
    of a group are one bar with their shares together.
    """
    plan = _decided(plan)
    rows = list(with_alike_rows(plan).rows())
    named = {key: name for key, name in _SHARES.items() if rows and rows[0].get(key) is not None}
    if not named:
        raise InputError(f"a plan of {plan.problem} has no shares to draw")
    rows.sort(key=lambda row: -max(row[key] for key in named))
    shown, some = some_of(rows, MOST_ROWS, "devices")
    ax = axes_for(ax, height_of_rows(2 * len(shown)))
    thick = 0.8 / len(named)
    for k, (key, name) in enumerate(named.items()):
        places = [row + (k - (len(named) - 1) / 2) * thick for row in range(len(shown))]
        lengths = [100 * row[key] for row in shown]
        ax.barh(places, lengths, height=thick, color=COLOURS[k], label=name)
    ax.set_yticks(range(len(shown)), [plain_text(_name(row)) for row in shown])
    ax.invert_yaxis()
    ax.grid(axis="x", color="#d9dee5", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_xlabel("share, %")
    ax.set_title(f"Shares{some}", loc="left", fontsize=10.5)
    legend_below(ax)
    return ax


def _decided(plan: PlanLike) -> Plan:
    plan = as_plan(plan)
    if plan.prediction is None:
        outcome = plan.result.get("outcome")
        raise InputError(f"the plan has no decision ({outcome}), and so nothing to draw")
    return plan


def _name(row: Mapping[str, Any]) -> str:
    """Return what a row is called, with the number of its devices where there are several."""
    if "group" not in row:
        return str(row["name"])  # of alike devices with their number
    return f"{row['group']} ({row['devices']:,})"


def _phases(plan: Plan, rows: Sequence[Mapping[str, Any]], ax: Any) -> Any:
    totals = {id(row): sum(row[key] for key in PHASES) for row in rows}
    rows = sorted(rows, key=lambda row: -totals[id(row)])
    shown, some = some_of(rows, MOST_ROWS, "devices")
    parts = {name: [row[key] for row in shown] for key, name in PHASES.items()}
    longest = totals[id(rows[0])]
    waits = [longest - totals[id(row)] for row in shown]
    if max(waits) > 1e-9 * longest:
        parts["waits for the slowest"] = waits
    ax = axes_for(ax, height_of_rows(len(shown)))
    stacked_rows(ax, [_name(row) for row in shown], parts, "seconds of a round")
    ax.set_title(plain_text(f"{plan.scenario['name']}: a round{some}"), loc="left", fontsize=10.5)
    return ax


def _batch(plan: Plan, ax: Any) -> Any:
    """Draw what a batch takes on the nodes of a pipeline, and on the way to the next one."""
    assert plan.prediction is not None  # the caller saw to it
    nodes, hops = plan.prediction["nodes"], plan.prediction["hops"]
    parts: dict[str, list[float]] = {"forward": [], "backward": []}
    moved = []
    for node, hop in zip_longest(nodes, hops):
        parts["forward"].append(node["forward_s"])
        parts["backward"].append(node["backward_s"])
        moved.append(0.0 if hop is None else hop["up_s"] + hop["down_s"])
    if any(moved):
        parts["to and from the next node"] = moved
    ax = axes_for(ax, height_of_rows(len(nodes)))
    stacked_rows(ax, [node["name"] for node in nodes], parts, "seconds per batch")
    title = f"{plan.scenario['name']}: a batch on the nodes, in the order of its way"
    ax.set_title(plain_text(title), loc="left", fontsize=10.5)
    return ax
