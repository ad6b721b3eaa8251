"""The instance library of `GraphPartition`: three public workloads, and generated graphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from splitopt.bench.instances.benchmark import Families, LibraryEntry, Recipe, drawn_entry
from splitopt.problems.graph_partition import GraphPartition

WORKLOADS = Path(__file__).parents[1] / "workloads" / "dnn_partitioning"
"""Files of dnn-partitioning (MIT), with their licence."""
NAMES = ("bert24_training", "gnmt_inference", "inceptionv3_inference")


def public_workload(name: str, cpus: int = 1) -> GraphPartition:
    """Read a shipped workload, with its CPU or without."""
    return replace(GraphPartition.read(WORKLOADS / f"{name}.json"), cpus=cpus)


def entries(families: Families) -> Iterator[LibraryEntry]:
    """Iterate over the library; `families` draw the generated instances."""
    for name in NAMES:
        for cpus, words in ((1, "and one CPU"), (0, "and no CPU")):
            yield LibraryEntry(
                f"{name.replace('_', '-')}-cpus{cpus}",
                "medium",
                "realistic",
                f"dnn-partitioning (Tarnawski et al. 2020), {name}: 6 accelerators {words}",
                partial(public_workload, name, cpus),
                published=True,
                note="From github.com/msr-fiddle/dnn-partitioning, MIT licence, Microsoft",
            )
    drawn = partial(drawn_entry, families)
    for family in ("branches", "residual", "layered", "training", "orphans", "whole", "together"):
        yield drawn(_recipe(family, 8, 3), "small")
        yield drawn(_recipe(family, 30, 4), "small")
    for family in ("towers", "memory", "host_only", "accelerators_only"):
        yield drawn(_recipe(family, 8, 3), "small")
        yield drawn(_recipe(family, 30, 4), "small")
    for family in ("branches", "residual", "towers", "training", "accelerators_only"):
        yield drawn(_recipe(family, 100, 6), "medium")
    yield drawn(_recipe("branches", 200, 6), "large")
    yield drawn(_recipe("residual", 1000, 8), "large", as_file=False)
    yield drawn(_recipe("towers", 200, 6), "stress")
    yield drawn(_recipe("infeasible", 8, 3), "small")
    yield drawn(_recipe("rounds", 8, 3), "small")
    yield drawn(_recipe("rounds", 30, 4), "small")
    yield drawn(_recipe("rounds", 100, 6), "medium")


def _recipe(family: str, nodes: int, accelerators: int) -> Recipe:
    return Recipe(family, {"nodes": nodes, "accelerators": accelerators})
