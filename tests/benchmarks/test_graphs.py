"""The tables of layer graphs: rows for small cases, checks that fail, committed results."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = {
    "maxSizePerFPGA": 10,
    "maxFPGAs": 2,
    "maxCPUs": 1,
    "nodes": [
        {
            "id": i,
            "supportedOnFpga": 1,
            "cpuLatency": 9,
            "fpgaLatency": i,
            "isBackwardNode": 0,
            "size": 3,
        }
        for i in (1, 2, 3)
    ],
    "edges": [
        {"sourceId": 1, "destId": 2, "cost": 0.5},
        {"sourceId": 2, "destId": 3, "cost": 0.25},
    ],
}


@pytest.fixture(scope="module")
def graphs():
    """Yield the modules, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.graphs.__main__")


@pytest.fixture(scope="module")
def checking(graphs):
    return importlib.import_module("benchmarks.graphs.checking")


def test_a_workload_of_ones_own_becomes_a_row(graphs, tmp_path):
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL))
    (row,) = graphs.public_table([path]).rows
    assert row[:5] == ["`small`", "–", "3.250000", "optimal", "3.250000"]
    assert row[-1] == "yes"


def test_loads_and_faults_by_hand(checking):
    """1 and 2 on an accelerator, 3 on another: 3 + .25 each; 2 and the others crossed."""
    assert checking.device_loads(SMALL, {1: 0, 2: 0, 3: 1}) == {0: 3.25, 1: 3.25}
    assert checking.device_loads(SMALL, {1: 0, 2: 2, 3: 0}) == {0: 4 + 0.5 + 0.25, 2: 9}
    assert checking.faults(SMALL, {1: 0, 2: 0, 3: 1}) == []
    assert checking.faults(SMALL, {1: 0, 2: 1, 3: 0}) == [
        "device 0 waits for itself",
        "device 1 waits for itself",
    ]
    assert checking.faults(SMALL | {"maxSizePerFPGA": 5}, {1: 0, 2: 0, 3: 1}) == [
        "device 0 holds 6 bytes"
    ]
    assert checking.naive_optimum(SMALL) == 3.25
    assert checking.naive_optimum(SMALL | {"maxSizePerFPGA": 2, "maxCPUs": 0}) is None


def test_a_plan_that_is_not_what_it_claims_stops_the_table(graphs, checking, monkeypatch, tmp_path):
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL))
    monkeypatch.setattr(graphs, "faults", lambda *_: ["device 0 holds 99 bytes"])
    with pytest.raises(AssertionError):
        graphs.public_table([path])


def test_arguments_are_checked(graphs, tmp_path, capsys):
    assert graphs.main(["--workloads"]) == 2
    assert graphs.main(["--workloads", str(tmp_path)]) == 2
    assert graphs.main(["--quick"]) == 2
    err = capsys.readouterr().err
    assert "needs a folder" in err
    assert "holds no workload files" in err


def test_committed_tables_meet_the_published_values():
    """Proved in less than a second each, and what was published wherever something was."""
    with (ROOT / "benchmarks/graphs/results/public.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 11
    for row in rows:
        assert row["proof"] == "optimal"
        assert float(row["solving, CPU s"]) < 1.0
        if row["published"] != "–":
            published = float(row["published"])
            assert float(row["optimum"]) == pytest.approx(published, rel=2e-5)
    assert sum(row["found again"] == "yes" for row in rows) >= 4


def test_committed_rounds_are_those_that_are_computed(graphs):
    """No guarantee is worse than that of the least load, and no replay is above its own."""
    bound, replay, share, _ = graphs._round_row("branches", 0, 2)
    assert bound <= 1 + 1e-9
    assert share <= 1 + 1e-9
    with (ROOT / "benchmarks/graphs/results/rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["graphs"] for row in rows[:1]] == ["`branches`, M = 2"]
    assert len(rows) == 3 * len(graphs.ROUND_FAMILIES)
    assert all(float(row["objective, mean"]) <= 1 for row in rows)
    assert float(rows[0]["least"]) <= replay + 5e-4
    assert replay <= float(rows[0]["most"]) + 5e-4
