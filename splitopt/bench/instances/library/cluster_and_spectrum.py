"""The instance library of `ClusterAndSpectrum`: the published cell, and generated ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from splitopt.bench.instances.benchmark import (
    Families,
    InstanceSet,
    LibraryEntry,
    Recipe,
    drawn_entry,
)
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.scenario import Scenario

DEVICES = 5
"""Of the published cluster."""


def published() -> ClusterAndSpectrum:
    """Build CPSL's identical devices in one cluster: Eq. 14-25 as printed, constants of VIII-B."""
    document = Scenario.load("cpsl-identical").to_dict()
    document["devices"][0]["count"] = DEVICES
    document["spectrum"] = {"subcarriers": 30, "bandwidth": "1 MHz"}
    return ClusterAndSpectrum.from_scenario(Scenario.from_dict(document))


def entries(families: Families) -> Iterator[LibraryEntry]:
    """Iterate over the library; `families` draw the generated instances."""
    yield LibraryEntry(
        "cpsl-five-identical",
        "small",
        "realistic",
        "CPSL section VIII-B: five identical devices in one cluster, Eq. 14-25 as printed",
        published,
        published=True,
    )
    drawn = partial(drawn_entry, families)
    spread: tuple[tuple[InstanceSet, int], ...] = (("small", 30), ("medium", 100), ("medium", 200))
    for family in ("cells", "classes", "identical", "unstructured", "uneven"):
        small = partial(_recipe, family, 8)
        first = small() if family == "uneven" else small(size=3, subcarriers=8)
        yield drawn(first, "small")
        for group, devices in spread:
            yield drawn(_recipe(family, devices), group)
        for devices in (1000, 10_000):
            yield drawn(_recipe(family, devices), "large", as_file=False)
    yield drawn(_recipe("cells", 30, subcarriers=10), "small")
    yield drawn(_recipe("cells", 30, epochs=5), "small")
    yield drawn(_recipe("cells", 500), "medium")
    yield drawn(_recipe("cells", 50_000), "stress", as_file=False)
    yield drawn(_recipe("infeasible", 10), "small")


def _recipe(family: str, devices: int, **others: int) -> Recipe:
    return Recipe(family, {"devices": devices, **others})
