"""The report of a `ClusterAndSpectrum` plan: who trains together, and what holds a cluster up."""

from __future__ import annotations

from typing import Any

from splitopt.plans import Plan
from splitopt.report.bars import stacked_bars
from splitopt.report.content import Column, Content, Figure, Table
from splitopt.report.numbers import duration, percent, seconds

SHOWS_ROUND = True
"""Whether the page of a plan shows a round as it is simulated."""
SLIDERS = "clusters"
"""What plans anew in the page of a plan, see `splitopt.report.replanning`."""


def content(plan: Plan) -> Content:
    """Report the prediction as facts, tables and a chart."""
    assert plan.prediction is not None  # the caller saw to it
    prediction = plan.prediction
    clusters = prediction["clusters"]
    phases = list(clusters[0]["held_up_by"])
    narrow = prediction["bottleneck"]
    facts = (
        ("Round", duration(prediction["round_s"])),
        ("Whole training", duration(prediction["training_s"])),
        (
            "Slowest cluster",
            f"number {narrow['cluster'] + 1}: {seconds(narrow['seconds'])} s, "
            f"{percent(narrow['fraction_of_round'])} % of the round",
        ),
    )
    return Content(
        facts,
        (_clusters(clusters, phases), _devices(prediction, phases)),
        (_chart(clusters, phases),),
    )


def _clusters(clusters: list[Any], phases: list[str]) -> Table:
    columns = (
        Column("devices", "Devices", text=True),
        Column("subcarriers", "Subcarriers"),
        *(Column(phase, phase) for phase in phases),
        Column("held", "Held up by", text=True),
        Column("seconds", "SECONDS"),
    )
    rows = tuple(
        {
            "devices": ", ".join(cluster["devices"]),
            "subcarriers": str(cluster["subcarriers"]),
            **{phase: seconds(cluster[f"{phase}_s"]) for phase in phases},
            "held": ", ".join(cluster["held_up_by"][phase] for phase in phases),
            "seconds": seconds(cluster["seconds"]),
        }
        for cluster in clusters
    )
    return Table(
        "Who trains together", "Clusters in their order of work", columns, rows, "clusters"
    )


def _devices(prediction: Any, phases: list[str]) -> Table:
    columns = (
        Column("name", "Device", text=True),
        Column("cluster", "Cluster"),
        Column("subcarriers", "Subcarriers"),
        *(Column(phase, phase) for phase in phases),
        Column("waits", "waits"),
    )
    rows = tuple(
        {
            "name": device["name"],
            "cluster": str(device["cluster"] + 1),
            "subcarriers": str(device["subcarriers"]),
            **{phase: seconds(device[f"{phase}_s"]) for phase in phases},
            "waits": seconds(device["waits_s"]),
        }
        for device in prediction["devices"]
    )
    caption = "Seconds per phase, and what a device waits for the others of its cluster"
    return Table("Who does what", caption, columns, rows, "devices")


def _chart(clusters: list[Any], phases: list[str]) -> Figure:
    def draw() -> str:
        labels = [f"cluster {m + 1}" for m in range(len(clusters))]
        parts = {phase: [cluster[f"{phase}_s"] for cluster in clusters] for phase in phases}
        return stacked_bars(labels, parts, "seconds per phase")

    return Figure("How long the phases of a cluster take", draw)
