"""The timings of clusters: its tables are made from what they say."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clusters():
    """Yield the module, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.clusters.__main__")


def test_tables_have_a_row_for_every_case(clusters, monkeypatch):
    """Small cases run through all rules and both ways to price a swap."""
    monkeypatch.setattr(clusters, "SHAPES", ((3, 6),))
    monkeypatch.setattr(clusters, "FLEETS", (30,))
    monkeypatch.setattr(clusters, "median_s", lambda work, _=1: (work(), 1.0)[1])
    assert len(clusters.subcarriers_table().rows) == 3
    assert len(clusters.iterations_table().rows) == 1


def test_committed_results_meet_the_goals(clusters):
    """Exact subcarriers: at most twice the greedy rule at (5, 30), faster from 10 devices on."""
    lines = (clusters.RESULTS / "subcarriers.csv").read_text().splitlines()[1:]
    ratios = {line.rsplit('",', 1)[0].strip('"'): float(line.rsplit(",", 1)[1]) for line in lines}
    assert len(ratios) == 3 * len(clusters.SHAPES)
    for cluster, ratio in ratios.items():
        assert ratio < (2.0 if cluster.startswith("K 5,") else 1.0), cluster
