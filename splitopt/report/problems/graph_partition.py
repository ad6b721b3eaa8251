"""The report of a `GraphPartition` plan: which machine runs what, and what crosses."""

from __future__ import annotations

from typing import Any

from splitopt.latency.graph_pipeline import enough_in_flight, most_periods
from splitopt.plans import Plan
from splitopt.report.bars import stacked_bars
from splitopt.report.content import Column, Content, Figure, Table
from splitopt.report.numbers import percent, seconds
from splitopt.units import counted, readable_bytes

SHOWS_ROUND = True
"""Whether the page of a plan shows a round as it is simulated."""
_MACHINES = (
    Column("machine", "Machine", text=True),
    Column("layers", "Layers", text=True),
    Column("count", "of them"),
    Column("forward_s", "forward"),
    Column("backward_s", "backward"),
    Column("transfers_s", "transfers"),
    Column("load_s", "LOAD"),
    Column("busy", "busy %"),
    Column("memory", "memory"),
    Column("limit", "limit"),
)
_CROSSINGS = (
    Column("layer", "Output of", text=True),
    Column("sender", "From", text=True),
    Column("takers", "To", text=True),
    Column("output", "Forward"),
    Column("gradient", "Back, each"),
)


def content(plan: Plan) -> Content:
    """Report the prediction as facts, tables and a chart."""
    assert plan.prediction is not None  # the caller saw to it
    prediction = plan.prediction
    machines = Table(
        heading="Which machine runs what",
        caption="In an order that data follow; seconds per micro-batch, both passes",
        columns=_MACHINES,
        rows=tuple(map(_machine, prediction["machines"])),
        things="machines",
    )
    crossing = Table(
        heading="What crosses between machines",
        caption="Per micro-batch; every taker reads the output once and writes its gradient once",
        columns=_CROSSINGS,
        rows=tuple(map(_crossing, prediction["crossings"])),
        things="outputs",
        main=False,
    )
    tables = (machines, crossing) if prediction["crossings"] else (machines,)
    return Content(tuple(_facts(prediction, plan)), tables, (_chart(prediction["machines"]),))


def _machine(row: Any) -> dict[str, str]:
    held, limit = row.get("memory_bytes"), row.get("memory_limit_bytes")
    return {
        "machine": row["name"],
        "layers": _few(row["layers"]),
        "count": str(len(row["layers"])),
        "forward_s": seconds(row["forward_s"]),
        "backward_s": seconds(row["backward_s"]),
        "transfers_s": seconds(row["receive_s"] + row["send_s"]),
        "load_s": seconds(row["load_s"]),
        "busy": percent(row["busy"]),
        "memory": "" if held is None else readable_bytes(held),
        "limit": "" if limit is None else readable_bytes(limit),
    }


def _few(layers: list[str]) -> str:
    return ", ".join(layers) if len(layers) <= 3 else f"{layers[0]}, ..., {layers[-1]}"


def _crossing(row: Any) -> dict[str, str]:
    return {
        "layer": row["layer"],
        "sender": row["sender"],
        "takers": ", ".join(row["takers"]),
        "output": readable_bytes(row["output_bytes"]),
        "gradient": readable_bytes(row["gradient_bytes"]),
    }


def _facts(prediction: Any, plan: Plan) -> list[tuple[str, str]]:
    batches, size = prediction["micro_batches"], prediction["batch_size"]
    period, rounds = prediction["period_s"], plan.scenario["training"]["rounds"]
    each = "sample" if size == 1 else f"{size:,} samples"
    facts = [
        ("Period (one micro-batch to the next)", f"{seconds(period)} s, of {each}"),
        ("Busiest machine", prediction["binding"]),
        ("A round", f"{seconds(prediction['round_s'])} s for {batches:,} micro-batches"),
        ("Whole training", f"{seconds(prediction['training_s'])} s, {counted(rounds, 'round')}"),
        ("Layers", f"{len(plan.profile['layers']):,} on {len(prediction['machines'])} machines"),
    ]
    machines = len(prediction["machines"])
    if prediction["in_flight"] >= enough_in_flight(machines, batches):
        most = most_periods(machines, batches)
        facts.insert(3, ("A round at most", f"{seconds(most * period)} s, {most:,} periods"))
    if prediction["idle"]:
        facts.append(("Idle machines", ", ".join(prediction["idle"])))
    return facts


def _chart(machines: Any) -> Figure:
    """Draw what a micro-batch costs every machine."""
    labels = [row["name"] for row in machines]
    parts = {
        "forward": [row["forward_s"] for row in machines],
        "backward": [row["backward_s"] for row in machines],
        "transfers": [row["receive_s"] + row["send_s"] for row in machines],
    }

    def draw() -> str:
        return stacked_bars(labels, parts, "seconds per micro-batch")

    return Figure("What a micro-batch costs every machine", draw)
