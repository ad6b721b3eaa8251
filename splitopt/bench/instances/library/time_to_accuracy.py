"""The instance library of `TimeToAccuracy`: one worked out by hand, and generated ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from splitopt.bench.instances.benchmark import Families, LibraryEntry, Recipe
from splitopt.problems.time_to_accuracy import TimeToAccuracy


def two_devices() -> TimeToAccuracy:
    """Two devices, of which the second is three times as slow, at two cuts.

    With batches of 1 and 1 at cut 1 a round takes 6 + 2 + 3 = 11 s, and (1 + 1) 10 = 20 rounds
    take 220 s; with 4 and 1 it takes 8 + 5 + 4 = 17 s, and 10 (1 + 5/8) = 16.25 rounds 276.25 s.
    """
    one = np.array([[1.0, 4.0], [3.0, 12.0]])
    return TimeToAccuracy(
        forward_s=one,
        upload_s=one,
        server_s=np.array([1.0, 0.5]),
        gradient_s=0.5 * one,
        backward_s=0.5 * one,
        model_down_s=np.zeros((2, 2)),
        model_up_s=np.zeros((2, 2)),
        batch_sizes=np.array([1, 4]),
        intervals=np.array([1]),
        rounds={
            "rounds": 10.0,
            "batch_factor": 1.0,
            "interval_exponent": 0.5,
            "parameter_share": np.array([0.25, 1.0]),
        },
    )


def entries(families: Families) -> Iterator[LibraryEntry]:  # noqa: ARG001 - as of every problem
    """Iterate over the library."""
    yield LibraryEntry(
        "two-devices", "small", "synthetic", "worked out by hand: 220 s", two_devices
    )
    for size, recipe in (
        ("small", Recipe("fleet", {"devices": 3, "layers": 4})),
        ("small", Recipe("per_device", {"devices": 2, "layers": 4})),
        ("small", Recipe("tabulated", {"devices": 2, "layers": 4})),
        ("small", Recipe("masked", {"devices": 3, "layers": 4})),
        ("small", Recipe("infeasible", {"devices": 3})),
        ("medium", Recipe("fleet", {"devices": 100})),
        ("medium", Recipe("per_device", {"devices": 30})),
    ):
        source = f"family {recipe.family}"
        yield LibraryEntry(recipe.name, size, "synthetic", source, recipe)  # type: ignore[arg-type]
