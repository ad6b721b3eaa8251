"""The instance library of `CutUnderUncertainty`: one worked out by hand, and generated ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from splitopt.bench.instances.benchmark import Families, InstanceSet, LibraryEntry, Recipe
from splitopt.problems.cluster_and_spectrum.data import TIMES
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty
from splitopt.problems.cut_under_uncertainty.blocks import Blocks
from splitopt.problems.cut_under_uncertainty.data import ListedScenarios


def taking_turns() -> CutUnderUncertainty:
    """Build two devices that take turns in being slow, which only the deep cut feels."""
    zeros = np.zeros((2, 2, 2))
    times = dict.fromkeys(TIMES, zeros)
    times["forward_s"] = np.array([[[6.0, 6.0], [2.0, 8.0]], [[6.0, 6.0], [8.0, 2.0]]])
    blocks = Blocks(times, np.zeros((2, 2)), 1, 2, np.array([2]))
    return CutUnderUncertainty(("shallow", "deep"), ListedScenarios(blocks))


def entries(families: Families) -> Iterator[LibraryEntry]:  # noqa: ARG001 - as of every problem
    """Iterate over the library."""
    yield LibraryEntry(
        "taking-turns",
        "small",
        "synthetic",
        "mean times make the deep cut look best; value of the stochastic solution 2 s",
        taking_turns,
    )
    recipes: tuple[tuple[InstanceSet, Recipe], ...] = (
        ("small", _recipe("drawn", 6, 3, 10)),
        ("small", _recipe("listed", 6, 3, 8)),
        ("small", _recipe("wide", 5, 3, 10)),
        ("small", _recipe("close_cuts", 6, 3, 10)),
        ("small", _recipe("identical", 4, 2, 4)),
        ("medium", _recipe("drawn", 30, 6, 40)),
    )
    for instance_set, recipe in recipes:
        source = f"family {recipe.family}"
        yield LibraryEntry(recipe.name, instance_set, "synthetic", source, recipe)
    none = Recipe("infeasible", {"devices": 3})
    yield LibraryEntry(none.name, "small", "synthetic", "too few subcarriers", none)


def _recipe(family: str, devices: int, cuts: int, samples: int) -> Recipe:
    return Recipe(family, {"devices": devices, "cuts": cuts, "samples": samples})
