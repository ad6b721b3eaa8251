"""The benchmark of large fleets runs, and its families are what they say."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from benchmarks.scale.__main__ import main
from benchmarks.scale.fleets import CLASSES, FAMILIES, draw
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import LargeFleet


@pytest.mark.slow
def test_a_small_run_writes_all_rows(tmp_path):
    """Every size and objective gives a row with a certified gap, in CSV and Markdown."""
    limits = ["--last-sizes", "--table-sizes", "30", "--no-scip", "--families", "masks"]
    assert main(["--sizes", "20", *limits, "--output", str(tmp_path)]) == 0
    with (tmp_path / "scale.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["devices"], row["form"], row["objective"]) for row in rows] == [
        ("20", "factors", "sum"),
        ("20", "factors", "makespan"),
        ("30", ".npz", "sum"),
        ("30", ".npz", "makespan"),
    ]
    assert all(float(row["gap"]) <= 1e-9 and float(row["peak_mib"]) > 10 for row in rows)
    assert (tmp_path / "scale.md").read_text().count("`masks`") == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_families_are_drawn_from_their_seed(family):
    """The same seed draws the same fleet, and noise changes every number by little."""
    first, second = (draw(family, "sum", 300, 5) for _ in range(2))
    np.testing.assert_array_equal(first.device_s, second.device_s)
    noisy = draw(family, "sum", 300, 5, noise=0.01)
    ratio = noisy.device_s / first.device_s
    assert 0.01 >= np.abs(ratio - 1).max() > 0
    assert (noisy.allowed == first.allowed).all()


def test_classes_are_few_and_near_classes_are_not():
    """Fifteen classes are found where there are fifteen, and noise keeps all devices apart."""
    assert LargeFleet.of(draw("classes", "sum", 2000, 1)).classes == CLASSES
    assert LargeFleet.of(draw("near_classes", "sum", 2000, 1)).classes == 2000
