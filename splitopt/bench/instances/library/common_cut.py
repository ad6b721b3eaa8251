"""The instance library of `CommonCut`: one worked out by hand, a shipped fleet, generated ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from splitopt.bench.instances.benchmark import Families, LibraryEntry, Recipe
from splitopt.problems.common_cut import CommonCut
from splitopt.scenario import Scenario


def two_devices() -> CommonCut:
    """Two devices with one batch each, at two cuts and with the whole model on them.

    At cut 1 each takes 1 + 1 + 4 + 2 + 2 + 1 + 1 = 12 s by itself, at cut 2 it takes 10 s.
    """
    one = np.ones((2, 3))
    return CommonCut(
        model_down_s=one,
        forward_s=one * [1.0, 2.0, 5.0],
        upload_s=one * [4.0, 1.0, 0.0],
        server_s=one * [2.0, 1.0, 0.0],
        gradient_s=one * [2.0, 1.0, 0.0],
        backward_s=one * [1.0, 3.0, 9.0],
        model_up_s=one,
        samples=np.array([4, 4]),
        batch_size=np.array([4, 4]),
        epochs=1,
        shared_links=False,
    )


def digits() -> CommonCut:
    """Build the fleet of the shipped scenario ``digits-splitfed``."""
    return CommonCut.from_scenario(Scenario.load("digits-splitfed"))


def entries(families: Families) -> Iterator[LibraryEntry]:  # noqa: ARG001 - as of every problem
    """Iterate over the library."""
    yield LibraryEntry(
        "two-devices", "small", "synthetic", "worked out by hand: vanilla takes 20 s", two_devices
    )
    yield LibraryEntry(
        "digits-splitfed", "small", "realistic", "the shipped scenario digits-splitfed", digits
    )
    for name, recipe in (
        ("small", Recipe("fleet", {"devices": 5})),
        ("small", Recipe("masked", {"devices": 8})),
        ("small", Recipe("identical", {"devices": 4})),
        ("small", Recipe("infeasible", {"devices": 3})),
        ("medium", Recipe("fleet", {"devices": 50})),
    ):
        source = f"family {recipe.family}"
        yield LibraryEntry(recipe.name, name, "synthetic", source, recipe)  # type: ignore[arg-type]
