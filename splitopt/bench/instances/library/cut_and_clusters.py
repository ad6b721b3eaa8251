"""The instance library of `CutAndClusters`: a shipped cell with an open cut, generated ones."""

from __future__ import annotations

from collections.abc import Iterator

from splitopt.bench.instances.benchmark import Families, LibraryEntry, Recipe, drawn_entry
from splitopt.problems.cut_and_clusters import CutAndClusters
from splitopt.scenario import Scenario


def digits() -> CutAndClusters:
    """Build the shipped scenario ``digits-clusters`` with its cut left open."""
    return _digits(cut_per_cluster=False)


def digits_own_cuts() -> CutAndClusters:
    """Build it with a cut for every cluster."""
    return _digits(cut_per_cluster=True)


def _digits(cut_per_cluster: bool) -> CutAndClusters:
    document = Scenario.load("digits-clusters").to_dict()
    document["clusters"] = {"size": 3, "cut": "auto", "cut_per_cluster": cut_per_cluster}
    return CutAndClusters.from_scenario(Scenario.from_dict(document))


def entries(families: Families) -> Iterator[LibraryEntry]:
    """Iterate over the library; `families` draw the generated instances."""
    source = "the shipped scenario digits-clusters, its cut left open"
    yield LibraryEntry("digits-clusters", "small", "realistic", source, digits)
    yield LibraryEntry("digits-own-cuts", "small", "realistic", source, digits_own_cuts)
    for own in (0, 1):
        for parameters in ({"devices": 8, "size": 3, "subcarriers": 8}, {"devices": 30}):
            yield drawn_entry(families, Recipe("cells", {**parameters, "own": own}), "small")
        yield drawn_entry(families, Recipe("unstructured", {"devices": 30, "own": own}), "small")
    strict = {"devices": 30, "own": 1, "strict": 4}
    yield drawn_entry(families, Recipe("cells", strict), "small")
    refused = {"devices": 20, "own": 1, "refused": 5}
    yield drawn_entry(families, Recipe("unstructured", refused), "small")
    yield drawn_entry(families, Recipe("apart", {"devices": 20}), "small")
    for own in (0, 1):
        yield drawn_entry(families, Recipe("cells", {"devices": 40, "own": own}), "medium")
    yield drawn_entry(families, Recipe("infeasible", {"devices": 10}), "small")
