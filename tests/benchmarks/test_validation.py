"""The committed measurements say what the page says, and the benchmark's check can fail."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

import splitopt
from splitopt.training.validation.comparing import compare
from splitopt.training.validation.measured import BytesRow, Measured

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def part():
    """Yield the function that loads a module of the benchmark, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield lambda name: importlib.import_module(f"benchmarks.validation.{name}")


def committed(part, name):
    text = (part("__main__").RESULTS / f"{name}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def assert_table(part, name, table):
    """Below its note, the page has the lines of the table and no others."""
    main = part("__main__")
    text = (main.RESULTS / f"{name}.md").read_text()
    assert text == main.markdown(table, text.partition("\n\n")[0])


def test_committed_runs_are_as_predicted(part):
    """Three runs of every plan: bytes and order exactly, median step and round within 15 %."""
    runs, rows = part("runs"), committed(part, "runs")
    assert runs.failures(rows) == []
    for scenario in runs.SYSTEMS:
        assert sum(row["scenario"] == scenario for row in rows) == 3
    assert_table(part, "runs", runs.table(rows))


def test_committed_schemes_are_as_predicted(part):
    """Three runs of the plan of each scheme; who is served in turn has a round by the order."""
    runs, rows = part("runs"), committed(part, "schemes")
    assert runs.failures(rows) == []
    for scheme in runs.SCHEMES:
        own = [row for row in rows if row["scenario"] == scheme]
        assert len(own) == 3
        planned = runs.scheme_plan(scheme)
        assert own[0]["problem"] == planned.problem == "common_cut"
        if not scheme.startswith("splitfed_v2"):  # whose rounds are those of orders that are drawn
            promised = planned.prediction["round_s"]
            assert [row["whole_predicted_s"] for row in own] == pytest.approx([promised] * 3)
    assert_table(part, "schemes", runs.table(rows, runs.SCHEMES))


def test_committed_scales_are_those_of_their_rows(part):
    """The table is made of the rows, and bytes are right at any speed."""
    runs, rows = part("runs"), committed(part, "scales")
    assert_table(part, "scales", runs.scale_table(rows))
    assert all(row["bytes_error"] == row["out_of_order"] == row["unmatched"] == 0 for row in rows)
    allowed = [row for row in rows if row["time_scale"] >= row["least_time_scale"]]
    assert {row["scenario"] for row in allowed} == set(runs.SYSTEMS)
    assert all(abs(row["step_error"]) <= runs.WITHIN for row in allowed)


def test_a_run_that_is_not_as_predicted_is_found(part):
    """A slower step, a byte too much, a missing task, another order: each is said."""
    runs = part("runs")
    good = committed(part, "runs")[0]
    for change, words in (
        ({"step_error": 0.2}, r"off by \+20.0 %"),
        ({"step_error": -0.16}, r"off by -16.0 %"),
        ({"step_error": float("nan")}, "off by"),
        ({"whole_error": 0.5}, r"the round is off by \+50.0 %"),
        ({"bytes_error": 0.01}, "bytes differ by up to 1 %"),
        ({"unmatched": 3}, "3 tasks that were only"),
        ({"incomplete": 2}, "2 steps that were not"),
        ({"out_of_order": 1}, "another order"),
    ):
        (failure,) = runs.failures([good | change])
        assert re.search(words, failure)
    assert runs.failures([good, good, good | {"step_error": 0.2}]) == []  # the median of three


def test_a_row_is_what_was_measured(part):
    """From a plan and its simulation under noise, without any process."""
    plan = splitopt.plan(splitopt.Scenario.load("digits-pipeline"))
    predicted = splitopt.simulate(plan).timeline
    measured = splitopt.simulate(plan, noise=0.1, seed=1).timeline
    traffic = (BytesRow("smashed", 100.0, 110.0), BytesRow("label", None, 5.0))
    validation = compare(predicted, measured)
    found = Measured("x", plan.problem, predicted, measured, validation, 0.5, 1, traffic)
    row = part("runs").row_of(found)
    assert row["bytes"] == 110
    assert row["bytes_error"] == pytest.approx(0.1)
    assert row["whole_measured_s"] == measured.makespan_s
    assert row["steps"] == len(np.unique(1000 * predicted.owner + predicted.batch))
    json.dumps(row, allow_nan=False)


def test_committed_shares_refute_what_does_not_fit(part):
    """Shares of f in all slow what they pace by f; the right plan holds."""
    module, rows = part("oversubscribed"), committed(part, "shares")
    assert [row["factor"] for row in rows] == [1, 1.5, 3]
    assert module.failures(rows) == []
    assert_table(part, "shares", module.table(rows))
    for row in rows:
        for phase, name in (("server", "server_share"), ("gradient download", "download_share")):
            assert 1 + row["phase_errors"][phase] == pytest.approx(row["shares"][name], rel=0.1)


def test_a_plan_that_is_judged_wrongly_is_found(part):
    module, rows = part("oversubscribed"), committed(part, "shares")
    right, _, wrong = rows
    (failure,) = module.failures([right | {"step_error": 0.2}, wrong])
    assert failure == "digits-splitfed with 1 times its shares does not hold"
    (failure,) = module.failures([right, wrong | {"step_error": 0.01, "whole_error": 0.01}])
    assert failure == "digits-splitfed with 3 times its shares holds"


def test_shares_that_do_not_fit_are_refused_unless_unchecked(part):
    """The check is there, is lifted for a block, and comes back."""
    module = part("oversubscribed")
    plan = module.oversubscribed(part("runs").plan_of("digits-splitfed"), 3.0)
    assert max(module.sums_of(plan).values()) == pytest.approx(3.0)
    for _ in range(2):
        with pytest.raises(splitopt.InputError, match="the decision is not feasible"):
            splitopt.simulate(plan)
        with module.unchecked():
            assert splitopt.simulate(plan).simulated_s > 0


@pytest.mark.slow
@pytest.mark.train
def test_a_plan_with_three_times_its_shares_is_refuted(part):
    """With real processes: 3 devices' worth of every resource slows its phases three times."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    module = part("oversubscribed")
    right, wrong = module.rows_of((1.0, 3.0))
    assert module.failures([right, wrong]) == []
    for phase in ("model download", "upload", "server", "gradient download"):
        assert wrong["phase_errors"][phase] > 1.5
    assert right["bytes_error"] == wrong["bytes_error"] == 0
    assert right["unmatched"] == wrong["unmatched"] == wrong["out_of_order"] == 0
