"""The benchmark of pipelines runs, compares with back ends, and states what it measured."""

from __future__ import annotations

import csv

import pytest

from benchmarks.pipeline import cases
from benchmarks.pipeline.__main__ import main


@pytest.fixture
def small(monkeypatch):
    """Measure small cases in place of the published ones."""
    monkeypatch.setattr(cases, "SPEED", (cases.Case("types", 9, 3, "paper", 1e-9),))
    monkeypatch.setattr(cases, "BESIDE", (cases.Case("whole", 6, 2),))
    monkeypatch.setattr(cases, "BACK_ENDS", ("highs",))


@pytest.mark.usefixtures("small")
def test_a_small_run_writes_all_rows(tmp_path, capsys):
    assert main(["--seeds", "1", "--repeats", "1", "--output", str(tmp_path)]) == 0
    rows = {}
    for name in ("speed", "beside"):
        with (tmp_path / f"{name}.csv").open() as stream:
            (rows[name],) = csv.DictReader(stream)
        assert f"`{rows[name]['family']}`" in (tmp_path / f"{name}.md").read_text()
        assert float(rows[name]["gap"]) <= 1e-9
    assert rows["speed"]["met"] == "no"  # nothing takes a nanosecond
    assert rows["beside"]["fastest"] == "highs"
    ratio = float(rows["beside"]["highs_s"]) / float(rows["beside"]["subset_dp_s"])
    assert float(rows["beside"]["ratio"]) == pytest.approx(ratio)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_goals_are_those_of_a_thousand_layers_on_ten_nodes():
    assert {(case.layers, case.nodes) for case in cases.SPEED} == {(1000, 10)}
    assert {case.family: case.goal_s for case in cases.SPEED} == {
        "types": 0.025,
        "speeds": 0.3,
        "unrelated": 1.0,
    }
    assert {(case.layers, case.nodes) for case in cases.BESIDE} == {(37, 5)}


def test_a_back_end_that_disagrees_is_not_passed_over(monkeypatch):
    honest = cases.timed

    def twisted(problem, solver, limit_s=None):
        seconds, result = honest(problem, "enumerate", limit_s)
        object.__setattr__(result, "objective", result.objective * (2 if solver == "scip" else 1))
        object.__setattr__(result, "bound", result.objective)
        return seconds, result

    monkeypatch.setattr(cases, "BACK_ENDS", ("scip",))
    monkeypatch.setattr(cases, "timed", twisted)
    monkeypatch.setattr(cases.Case, "draw", lambda self, seed: draw_small())
    with pytest.raises(SystemExit, match="disagree"):
        cases.beside_row(cases.Case("types", 5, 2), 1, 1.0)


def draw_small():
    recipe = cases.Recipe("types", {"layers": 5, "nodes": 2}, 0)
    return cases.BENCHMARK.draw(recipe)
