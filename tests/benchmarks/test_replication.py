"""The benchmark of replicated stages: PipeDream's recursion, and rows of both tables."""

import csv
import itertools

import numpy as np
import pytest

from benchmarks.pipedream.graphs import texts
from benchmarks.replication import __main__ as replication
from benchmarks.replication import schedules
from benchmarks.replication.reference import pipedream_plan


def by_trying(seconds, weights, bandwidth, machines):
    """Try all cuts and all numbers of machines."""
    layers, best = len(seconds), np.inf
    for size in range(1, min(layers, machines) + 1):
        for inner in itertools.combinations(range(1, layers), size - 1):
            cuts = [0, *inner, layers]
            for counts in itertools.product(range(1, machines + 1), repeat=size):
                if sum(counts) <= machines:
                    times = [
                        (sum(seconds[i:j]) + 4 * (m - 1) * sum(weights[i:j]) / (m * bandwidth)) / m
                        for i, j, m in zip(cuts[:-1], cuts[1:], counts, strict=True)
                    ]
                    best = min(best, max(times))
    return best


def test_the_reference_is_the_best_of_all_pipelines():
    rng = np.random.default_rng(0)
    for _ in range(20):
        seconds, weights = rng.uniform(1, 3, (2, 5))
        value, ends, counts = pipedream_plan(seconds, weights, 2.0, 4)
        assert value == pytest.approx(by_trying(seconds, weights, 2.0, 4))
        assert len(ends) == len(counts)
        assert (ends[-1], sum(counts) <= 4) == (5, True)


def test_a_row_holds_the_same_terms_against_each_other():
    row = replication.compared("vgg16", texts()["vgg16"], 4, 1250e6)
    assert row["same"] == pytest.approx(1.0, abs=1e-9)
    assert row["stages"] == "3-1"
    assert min(row["sent"], row["mixed"]) >= 1 - 1e-9


def test_small_runs_write_their_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(replication, "MACHINES", (2,))
    monkeypatch.setattr(replication, "texts", lambda: {"alexnet": texts()["alexnet"]})
    for name, values in (("SEEDS", range(1)), ("LAYERS", 6), ("DEVICES", 3), ("LONG", (8, 16))):
        monkeypatch.setattr(schedules, name, values)
    assert replication.main([str(tmp_path)]) == schedules.main([str(tmp_path)]) == 0
    for name, rows in (("replication", 2), ("schedules", len(schedules.FAMILIES))):
        with (tmp_path / f"{name}.csv").open() as stream:
            assert len(list(csv.DictReader(stream))) == rows
    assert replication.main(["--no"]) == 2
