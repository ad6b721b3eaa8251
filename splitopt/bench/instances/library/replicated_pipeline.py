"""The instance library of `ReplicatedPipeline`: generated pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from splitopt.bench.instances.benchmark import Families, LibraryEntry, Recipe, drawn_entry

FEASIBLE = ("alike", "types", "plain", "memory", "gpipe", "pipedream", "whole")


def entries(families: Families) -> Iterator[LibraryEntry]:
    """Iterate over the library; `families` draw the instances."""
    drawn = partial(drawn_entry, families)
    for family in FEASIBLE:
        yield drawn(_recipe(family, 5, 3), "small")
        yield drawn(_recipe(family, 30, 6), "small")
    for family in FEASIBLE[:-1]:
        yield drawn(_recipe(family, 100, 10), "medium")
    yield drawn(_recipe("types", 400, 16), "large")
    yield drawn(_recipe("plain", 1000, 10), "large", as_file=False)
    yield drawn(_recipe("memory", 100, 24), "stress")
    yield drawn(_recipe("infeasible", 5, 3), "small")


def _recipe(family: str, layers: int, devices: int) -> Recipe:
    return Recipe(family, {"layers": layers, "devices": devices})
