"""The benchmark of large fleets, on small ones."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.groups.__main__ import RESULTS
from benchmarks.groups.case import run
from benchmarks.groups.fleets import different, grouped
from splitopt import Scenario, plan


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_a_case_plans_from_file_to_file(
    tmp_path: Path, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splitopt.planning.planner.BY_GROUP_ABOVE", 10)
    found = run(str(grouped(5000, tmp_path)), objective, str(tmp_path / "plan.json"))
    assert (found["devices"], found["groups"]) == (5000, 20)
    assert found["gap"] <= 1e-9
    assert found["peak_mib"] > 10


def test_both_files_hold_the_same_devices(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    one, other = (Scenario.load(different(9, tmp_path, kind)) for kind in ("csv", "parquet"))
    assert one.devices == other.devices
    assert plan(one, by_group=True).result["gap"] <= 1e-9


def test_what_the_documentation_claims_is_what_was_measured() -> None:
    with (RESULTS / "groups.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["form"], row["objective"]) for row in rows} >= {
        (form, objective) for form in ("YAML", "CSV") for objective in ("sum", "makespan")
    }
    for row in rows:
        assert float(row["gap"]) <= 1e-9
        assert int(row["devices"]) >= 1_000_000
