"""The report of a `PipelinePartition` plan: who hosts what, what is busy, what limits the rate."""

from __future__ import annotations

from typing import Any, Literal

from splitopt.latency.split_federated import link_rate
from splitopt.plans import Plan
from splitopt.report.bars import stacked_bars
from splitopt.report.content import Column, Content, Figure, Table
from splitopt.report.numbers import percent, seconds
from splitopt.scenario import Scenario
from splitopt.units import counted, readable_bytes

SHOWS_ROUND = True
"""Whether the page of a plan shows a round as it is simulated."""
SLIDERS = "pipeline"
"""What plans anew in the page of a plan, see `splitopt.report.replanning`."""
_OF_NODES_ALONE = {
    "period": "the busy time per batch of nodes and of links between them",
    "paper": "the longest forward and the longest backward work of a node, without links",
    "epoch": "all batches over nodes and links between them",
}
"""Objectives that leave the owners' links and trips out, by what they count."""
_NODES = (
    Column("node", "Node", text=True),
    Column("layers", "Layers", text=True),
    Column("count", "of them"),
    Column("forward_s", "forward"),
    Column("backward_s", "backward"),
    Column("busy", "busy %"),
    Column("memory", "memory"),
    Column("limit", "limit"),
    Column("up_s", "send on"),
    Column("down_s", "send back"),
)
_WORTH = (
    Column("resource", "Resource", text=True),
    Column("change", "Change", text=True),
    Column("objective", "New objective"),
    Column("saves", "Saves"),
)


def content(plan: Plan) -> Content:
    """Report the prediction as facts, tables and a chart."""
    assert plan.prediction is not None  # the caller saw to it
    prediction = plan.prediction
    tables = [
        Table(
            heading="Who hosts what",
            caption="The chain of nodes, from the owners and back; seconds per batch",
            columns=_NODES,
            rows=tuple(_node_rows(prediction)),
            things="nodes",
        )
    ]
    if prediction["worth"]:
        tables.append(
            Table(
                heading="What more of a resource would save",
                caption="Planned anew to the optimum with a little more of one resource",
                columns=_WORTH,
                rows=tuple(_worth_row(row) for row in prediction["worth"]),
                main=False,
            )
        )
    return Content(tuple(_facts(prediction, plan)), tuple(tables), (_chart(prediction),))


def _node_rows(prediction: Any) -> list[dict[str, str]]:
    rows = []
    for node, hop in zip(prediction["nodes"], [*prediction["hops"], None], strict=True):
        one = node["layers"] == 1
        rows.append(
            {
                "node": node["name"],
                "layers": node["first_layer"]
                if one
                else f"{node['first_layer']} to {node['last_layer']}",
                "count": str(node["layers"]),
                "forward_s": seconds(node["forward_s"]),
                "backward_s": seconds(node["backward_s"]),
                "busy": percent(node["busy"]),
                "memory": readable_bytes(node["memory_bytes"]),
                "limit": ""
                if node["memory_limit_bytes"] is None
                else readable_bytes(node["memory_limit_bytes"]),
                "up_s": "" if hop is None else seconds(hop["up_s"]),
                "down_s": "" if hop is None else seconds(hop["down_s"]),
            }
        )
    return rows


def _facts(prediction: Any, plan: Plan) -> list[tuple[str, str]]:
    first, total = prediction["first_cut"], len(plan.profile["layers"])
    behind = total - prediction["last_cut"]
    rounds = plan.scenario["training"]["rounds"]
    load, averaging_s = prediction["load"], prediction.get("aggregation_s", 0.0)
    limit = "the pipeline is the limit" if load >= 1 else "the owners' own trips are the limit"
    batches = counted(prediction["batches"], "batch", "batches")
    owners = counted(prediction["owners"], "owner")
    facts = [
        *_minimised(plan.objective),
        ("Period (one batch to the next)", f"{seconds(prediction['period_s'])} s"),
        ("Binding", binding(prediction["binding"])),
        ("Trip of a batch over nodes and links", f"{seconds(prediction['latency_s'])} s"),
        ("Trip with the owners' own parts", f"{seconds(prediction['trip_s'])} s on average"),
        ("Load", f"{load:.3g}: {limit}"),
        (
            "Round (closed form)",
            f"{seconds(prediction['round_s'])} s for {batches} of {owners}, of which "
            f"{seconds(averaging_s)} s for averaging their parts",
        ),
        ("Round (simulated)", _simulated(prediction)),
        ("Owners' links", _channels(plan)),
        (
            "Whole training (closed form)",
            f"{seconds(prediction['training_s'])} s, {counted(rounds, 'round')}",
        ),
        ("Owners keep", f"the first {first} and the last {behind} of {total} layers"),
    ]
    if "round_cost" in prediction:
        facts.append(
            (
                "Rent of the nodes",
                f"{prediction['round_cost']:.4g} a round, {prediction['training_cost']:.4g} for "
                "the training, in the currency of the prices",
            )
        )
    if prediction["idle"]:
        facts.append(("Idle nodes", ", ".join(prediction["idle"])))
    return facts


def _minimised(objective: str) -> list[tuple[str, str]]:
    """Return what an objective of nodes alone counts, as period and round below hold more."""
    if objective not in _OF_NODES_ALONE:
        return []
    counted_there = f"{_OF_NODES_ALONE[objective]} (objective {objective})"
    return [("Minimised", f"{counted_there}; the owners' links and trips are in what follows only")]


def _simulated(prediction: Any) -> str:
    if prediction.get("simulated_s") is None:  # or the plan is of an earlier version
        return "not done here, since it is long; splitopt simulate does it"
    return f"{seconds(prediction['simulated_s'])} s, event by event"


def _channels(plan: Plan) -> str:
    """Report whose the downlink and the uplink are, and how fast."""
    scenario = Scenario.from_dict(plan.scenario, "plan: scenario")
    found = []
    ways: tuple[Literal["downlink", "uplink"], ...] = ("downlink", "uplink")
    for way in ways:
        rates = sorted({link_rate(scenario.link(device, way)) for device in scenario.devices})
        ends = dict.fromkeys((rates[0], rates[-1]))
        found.append(f"{way} of {' to '.join(f'{rate / 1e6:.4g}' for rate in ends)} Mbit/s")
    if scenario.links.shared:
        return f"all owners share one {found[0]} and one {found[1]} (links.shared: true)"
    return f"every owner has a {found[0]} and an {found[1]} of its own (links.shared: false)"


def binding(found: Any) -> str:
    """Describe which resource sets the period."""
    busy = f"{seconds(found['busy_s'])} s a batch"
    if found["kind"] == "channel":
        return f"the {found['name']} that all owners share, {busy}"
    if found["kind"] == "link":
        return f"the link between {' and '.join(found['between'])}, {busy}"
    if found["kind"] == "interface":
        return f"the network interface of {found['name']}, {busy}"
    return f"{found['name']}, {busy}"


def _worth_row(row: Any) -> dict[str, str]:
    return {
        "resource": row["resource"],
        "change": row["change"],
        "objective": f"{seconds(row['objective'])} s",
        "saves": f"{seconds(row['saves'])} s",
    }


def _chart(prediction: Any) -> Figure:
    """Draw what a batch costs at every stop of its way."""
    labels, forward, backward, moved = [], [], [], []
    for node, hop in zip(prediction["nodes"], [*prediction["hops"], None], strict=True):
        labels.append(node["name"])
        forward.append(node["forward_s"])
        backward.append(node["backward_s"])
        moved.append(0.0)
        if hop is not None and hop["up_s"] + hop["down_s"] > 0:
            labels.append(" to ".join(hop["between"]))
            forward.append(0.0)
            backward.append(0.0)
            moved.append(hop["up_s"] + hop["down_s"])
    parts = {"forward": forward, "backward": backward}
    if any(moved):
        parts["transfers"] = moved

    def draw() -> str:
        return stacked_bars(labels, parts, "seconds per batch")

    return Figure("Where the time of a batch goes", draw)
