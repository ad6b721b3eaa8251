"""The instance library of `PipelinePartition`: measured models on nodes, by hand, and generated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from splitopt.bench.instances.benchmark import (
    Families,
    LibraryEntry,
    Recipe,
    drawn_entry,
)
from splitopt.bench.instances.families.pipeline_partition import LINKED
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.scenario import Scenario

MEASURED = (
    "{network} on CIFAR-10 with times measured on an 8-core VM "
    "(github.com/jtirana98/SFL-workflow-optimization, MIT), 50 owners; {nodes}"
)
_GIB = 2.0**30


def by_hand() -> PipelinePartition:
    """Two nodes, the second twice as slow: the optimum is 30, worked out by hand."""
    times = np.array([[2, 3, 1, 4, 2, 2], [4, 6, 2, 9, 4, 3]], dtype=np.float64)
    return PipelinePartition(
        forward_s=np.stack((times[0], 2 * times[0])),
        backward_s=np.stack((times[1], 2 * times[1])),
        layer_memory_bytes=np.ones(6),
        node_memory_bytes=np.full(2, 100.0),
        owners=1,
    )


def measured(
    profile: str, cuts: tuple[int, int], nodes: list[dict[str, Any]], with_owners: bool = False
) -> PipelinePartition:
    """Build a measured model on nodes for 50 owners with 32 batches each.

    ``with_owners`` adds what these, Raspberry Pi 4 with links of their own, add to a round.
    """
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": profile,
        "model": {"profile": profile, "fill": "flop_ratio"},
        "devices": [
            {"name": "pi4", "count": 50, "machine": "d1", "samples": 2048, "batch_size": 128}
        ],
        "links": {"downlink": {"rate": 40e6}, "uplink": {"rate": 40e6}, "shared": False},
        "nodes": nodes,
        "pipeline": {"first_cut": cuts[0], "last_cut": cuts[1], "use_all_nodes": not with_owners},
        "training": {"epochs": 2},
    }
    problem = PipelinePartition.from_scenario(Scenario.from_si(document, profile))
    return problem if with_owners else replace(problem, objective="period", owner_groups=None)


def entries(families: Families) -> Iterator[LibraryEntry]:
    """Iterate over the library; `families` draw the generated instances."""
    note = "Worked out by hand: two nodes, the second takes twice as long; any unit of time"
    yield LibraryEntry("two-nodes", "small", "synthetic", "worked out by hand", by_hand, note=note)
    yield from _measured_entries()
    yield from _generated_entries(families)


def _measured_entries() -> Iterator[LibraryEntry]:
    equal = [{"name": "vm", "count": 3, "machine": "VM", "memory": 128 * _GIB}]
    mixed = [
        {"name": "large", "count": 2, "machine": "VM", "memory": 128 * _GIB},
        {"name": "small", "count": 3, "machine": "VM", "slowdown": 2, "memory": 64 * _GIB},
    ]
    models: tuple[tuple[str, str, tuple[int, int]], ...] = (
        ("resnet101-cifar", "ResNet-101", (2, 35)),
        ("vgg19-cifar", "VGG-19", (2, 23)),
    )
    for profile, network, cuts in models:
        for fleet, nodes, words in (
            ("equal3", equal, "three equal nodes"),
            ("mixed5", mixed, "two nodes and three that take twice as long with half the memory"),
        ):
            make: Callable[[], PipelinePartition] = partial(measured, profile, cuts, nodes)
            source = MEASURED.format(network=network, nodes=words)
            yield LibraryEntry(f"measured-{profile}-{fleet}", "small", "realistic", source, make)
            whole = partial(measured, profile, cuts, nodes, with_owners=True)
            more = f"{source}; with the owners' own parts, links and models, nodes may idle"
            yield LibraryEntry(f"round-{profile}-{fleet}", "small", "realistic", more, whole)


_SPREAD = ("uniform", "types", "speeds", "unrelated", "decades", "whole", "memory", "idle", "given")


def _generated_entries(families: Families) -> Iterator[LibraryEntry]:
    drawn = partial(drawn_entry, families)
    for family in (*_SPREAD, *LINKED):
        yield drawn(_recipe(family, 8, 3), "small")
        yield drawn(_recipe(family, 8, 3, seed=1), "small")
        yield drawn(_recipe(family, 37, 5), "medium")
    for family in ("types", "speeds", "unrelated", "memory"):
        yield drawn(_recipe(family, 100, 10), "large")
        yield drawn(_recipe(family, 1000, 10), "stress", as_file=False)
    for family in LINKED:
        yield drawn(_recipe(family, 100, 8), "large")
    yield drawn(_recipe("infeasible", 8, 3), "small")


def _recipe(family: str, layers: int, nodes: int, seed: int = 0) -> Recipe:
    return Recipe(family, {"layers": layers, "nodes": nodes}, seed)
