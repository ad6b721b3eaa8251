"""The report of a `ReplicatedPipeline` plan: stages, their machines, seconds and memory."""

from __future__ import annotations

from typing import Any

from splitopt.plans import Plan
from splitopt.report.bars import stacked_bars
from splitopt.report.content import Column, Content, Figure, Table
from splitopt.report.numbers import percent, seconds
from splitopt.units import counted, readable_bytes

SHOWS_ROUND = True
"""Whether the page of a plan shows a round as it is simulated."""
_MACHINES = (
    Column("stage", "Stage"),
    Column("layers", "Layers", text=True),
    Column("type", "Machines", text=True),
    Column("replicas", "of them"),
    Column("share", "each does %"),
    Column("compute_s", "compute"),
    Column("transfer_s", "transfer"),
    Column("held", "holds"),
    Column("memory", "memory"),
    Column("limit", "limit"),
)
_STAGES = (
    Column("stage", "Stage"),
    Column("count", "Layers"),
    Column("replicas", "Machines"),
    Column("dealt_s", "micro-batch"),
    Column("all_reduce_s", "all-reduce"),
    Column("period_s", "PERIOD"),
    Column("busy", "busy %"),
    Column("recompute", "Recompute", text=True),
    Column("output", "passes on"),
)


def content(plan: Plan) -> Content:
    """Report the prediction as facts, tables and a chart."""
    assert plan.prediction is not None  # the caller saw to it
    prediction = plan.prediction
    numbered = list(enumerate(prediction["stages"], 1))
    machines = Table(
        heading="Which machines train what",
        caption="Seconds and memory of one machine; micro-batches are dealt by speed",
        columns=_MACHINES,
        rows=tuple(_machine(n, stage, row) for n, stage in numbered for row in stage["replicas"]),
        things="types of machines in stages",
    )
    stages = Table(
        heading="What every stage takes",
        caption="Seconds from one micro-batch to the next",
        columns=_STAGES,
        rows=tuple(_stage(n, stage) for n, stage in numbered),
        things="stages",
        main=False,
    )
    chart = _chart(prediction["stages"])
    return Content(tuple(_facts(prediction, plan)), (machines, stages), (chart,))


def _machine(number: int, stage: Any, row: Any) -> dict[str, str]:
    held, limit = row.get("memory_bytes"), row.get("memory_limit_bytes")
    return {
        "stage": str(number),
        "layers": _ends(stage["layers"]),
        "type": row["type"],
        "replicas": str(len(row["machines"])),
        "share": percent(row["share"]),
        "compute_s": seconds(row["compute_s"]),
        "transfer_s": seconds(row["transfer_s"]),
        "held": str(row["held"]),
        "memory": "" if held is None else readable_bytes(held),
        "limit": "" if limit is None else readable_bytes(limit),
    }


def _ends(layers: list[str]) -> str:
    return ", ".join(layers) if len(layers) <= 2 else f"{layers[0]} ... {layers[-1]}"


def _stage(number: int, stage: Any) -> dict[str, str]:
    return {
        "stage": str(number),
        "count": str(len(stage["layers"])),
        "replicas": str(sum(len(row["machines"]) for row in stage["replicas"])),
        "dealt_s": seconds(stage["dealt_s"]),
        "all_reduce_s": seconds(stage["all_reduce_s"]),
        "period_s": seconds(stage["period_s"]),
        "busy": percent(stage["busy"]),
        "recompute": "yes" if stage["recompute"] else "no",
        "output": readable_bytes(stage["output_bytes"]),
    }


def _facts(prediction: Any, plan: Plan) -> list[tuple[str, str]]:
    batches, size = prediction["micro_batches"], prediction["batch_size"]
    period, rounds = prediction["period_s"], plan.scenario["training"]["rounds"]
    each, reached = counted(size, "sample"), prediction["reached_s"]
    facts = [
        ("Period (one micro-batch to the next)", f"{seconds(period)} s, of {each}"),
        ("Slowest stage", prediction["binding"]),
        ("Schedule", prediction["schedule"]),
        ("A round", f"{seconds(prediction['round_s'])} s for {batches:,} micro-batches"),
        ("Whole training", f"{seconds(prediction['training_s'])} s, {counted(rounds, 'round')}"),
        ("Layers", f"{len(plan.profile['layers']):,} in {len(prediction['stages'])} stages"),
    ]
    if reached is not None:
        planned = seconds(prediction["planned_s"])
        text = f"{seconds(reached)} s per micro-batch beside {planned} s planned"
        facts.insert(1, ("Reached in a full pipeline, all-reduce apart", text))
    if prediction["idle"]:
        facts.append(("Idle machines", ", ".join(prediction["idle"])))
    return facts


def _chart(stages: Any) -> Figure:
    """Draw what a micro-batch costs every stage."""
    labels = [f"stage {number}" for number in range(1, len(stages) + 1)]
    parts = {
        "micro-batch": [stage["dealt_s"] for stage in stages],
        "all-reduce": [stage["period_s"] - stage["dealt_s"] for stage in stages],
    }

    def draw() -> str:
        return stacked_bars(labels, parts, "seconds per micro-batch")

    return Figure("What a micro-batch costs every stage", draw)
