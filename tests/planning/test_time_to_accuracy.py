"""Scenarios with a measured curve of rounds: tables by hand, plans, simulation, what is refused."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from splitopt import InputError, Plan, Scenario, plan, solve
from splitopt.cli.entry import run
from splitopt.planning.planner import open_plan
from splitopt.problems.time_to_accuracy import TimeToAccuracy
from splitopt.profiles.fitting.rounds_curve import RoundsCurve
from splitopt.simulation import simulate_decision

CURVE = {
    "format": "splitopt-rounds-curve",
    "version": 1,
    "name": "digits",
    "metric": "test_loss",
    "target": 0.3,
    "rounds": 100.0,
    "batch_factor": 3.0,
    "interval_exponent": 0.2,
    "calibrated": {
        "batch_size": [4, 32],
        "aggregation_interval": [1, 20],
        "parameter_share": [0.01, 0.9],
        "devices": 4,
    },
    "step_rule": {"optimizer": "sgd", "learning_rate": 0.1},
    "ranges": {
        "rounds": [90, 110],
        "batch_factor": [2.0, 4.0],
        "interval_exponent": [0.1, 0.3],
    },
    "median_error": 0.05,
}


def document(**section):
    """Return the shipped fleet with a section."""
    found = Scenario.load("digits-splitfed").to_dict()
    asked = {"curve": CURVE, "batch_size": [4, 8, 16], "aggregation_interval": [1, 5]}
    return found | {"time_to_accuracy": asked | section}


def scenario(**section):
    return Scenario.from_dict(document(**section))


@pytest.fixture(scope="module")
def made():
    return plan(scenario())


def test_the_seconds_of_a_plan_are_those_of_the_fleet():
    """A device by hand: work over speed, bits over its part of the shared link."""
    given = scenario()
    profile = given.load_model()
    problem = TimeToAccuracy.from_scenario(given)
    fast, cut, size = given.fleet()[0], 3, 8
    own = problem.device_seconds(problem.complete(cut, size, 5))[0]
    forward = profile.device_forward_flop[cut - 1] / fast.compute
    backward = profile.device_backward_flop[cut - 1] / fast.compute
    rate = 4e6 / 4
    assert own[0] == pytest.approx(size * (forward + 8 * profile.smashed_bytes[cut - 1] / rate))
    server = profile.server_forward_flop[cut - 1] + profile.server_backward_flop[cut - 1]
    assert own[1] == pytest.approx(size * server / 100e6)
    assert own[2] == pytest.approx(size * (backward + 8 * profile.gradient_bytes[cut - 1] / rate))
    assert own[3] == pytest.approx(2 * 8 * profile.device_model_bytes[cut - 1] / rate / 5)
    assert (problem.largest_batch[:, -1] == 0).all()  # nothing would be split


def test_a_section_asks_for_the_problem(made):
    """The plan is proved, survives a file, and is at most as long as those made more simply."""
    assert made.problem == "time_to_accuracy"
    assert made.result["outcome"] == "optimal"
    prediction = made.prediction
    assert prediction["training_s"] == pytest.approx(prediction["rounds"] * prediction["round_s"])
    assert prediction["training_s"] == pytest.approx(made.result["objective"])
    for field in ("common", "without_model"):
        assert prediction[field]["factor"] >= 1 - 1e-12
    opened = open_plan(Plan.from_dict(json.loads(json.dumps(made.to_dict()))))
    assert opened.problem.evaluate(opened.decision) == made.result["objective"]


def test_the_plan_is_valued_at_the_ends_of_the_ranges(made):
    """Against a curve with those constants, planned by itself."""
    rows = made.prediction["other_curves"]
    assert {(row["batch_factor"], row["interval_exponent"]) for row in rows} == {
        (2.0, 0.1), (2.0, 0.3), (4.0, 0.1), (4.0, 0.3),
    }  # fmt: skip
    for row in rows:
        constants = {name: row[name] for name in ("batch_factor", "interval_exponent")}
        other = TimeToAccuracy.from_scenario(scenario(curve=CURVE | constants))
        best = solve(other).objective
        assert row["factor"] == pytest.approx(other.evaluate(made.decision) / best, rel=1e-5)
        assert row["same"] == (row["factor"] < 1 + 1e-9)
    alone = {name: value for name, value in CURVE.items() if name != "ranges"}
    other = plan(scenario(curve=alone))
    assert other.prediction.get("other_curves") is None
    assert any("calibrate with two seeds" in note for note in other.notes)


def test_the_simulation_plays_the_barriers(made):
    """Equal to the model where one device is slowest both ways; else the average waits for all."""
    opened = open_plan(made)
    replay = simulate_decision(opened.problem, opened.decision, scenario=opened.scenario)
    assert replay.simulated_s == pytest.approx(replay.forecasts[0].seconds)
    ways = opened.problem.data()
    down, up = np.zeros((2, *opened.problem.model_up_s.shape))
    down[0], up[1] = 3.0, 5.0
    apart = TimeToAccuracy(**ways | {"model_down_s": down, "model_up_s": up})
    replay = simulate_decision(apart, opened.decision)
    assert replay.simulated_s == pytest.approx(replay.forecasts[0].seconds + 3.0)


def test_memory_leaves_smaller_batches():
    """A device with the memory of a batch of 4 at every cut takes no larger one."""
    given = document()
    given["devices"][1]["memory"] = "20 kB"
    problem = TimeToAccuracy.from_scenario(Scenario.from_dict(given))
    profile = Scenario.from_dict(given).load_model()
    fixed, each = profile.device_memory_fixed_bytes, profile.device_memory_per_sample_bytes
    for cut in range(problem.layers - 1):
        most = problem.largest_batch[2, cut]
        assert fixed[cut] + most * each[cut] <= 20_000 or most == 0
        assert fixed[cut] + (most + 1) * each[cut] > 20_000 or most == 320


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"curve": None}, "'splitopt calibrate' measures it"),
        ({"curve": {"format": "splitopt-rounds-curve", "version": 1}}, "lacks rounds, batch_fac"),
        ({"curve": CURVE | {"rounds": 0}}, "rounds: is 0, and a training takes some"),
        ({"curve": CURVE | {"batch_factor": -1}}, "batch_factor: is -1"),
        ({"curve": CURVE | {"format": "splitopt-plan"}}, "splitopt-rounds-curve"),
        ({"curve": CURVE | {"step_rule": 3}}, "step_rule"),
        ({"batch_size": [0]}, r"batch_size\[0\]"),
        ({"batch_size": [2, 8]}, r"batch_size\[0\] is 2, and the curve was calibrated from 4 to"),
        ({"batch_size": [8, 8]}, r"batch_size\[1\] is 8, which stands there before"),
        ({"aggregation_interval": [0]}, r"aggregation_interval\[0\]"),
        ({"aggregation_interval": [1, 50]}, r"is 50, and the curve was calibrated from 1 to 20"),
        ({"cuts": "own"}, "cuts"),
        ({"interval": [1]}, "write it as 'aggregation_interval'"),
    ],
)
def test_bad_sections_are_refused(section, words):
    with pytest.raises(InputError, match=words):
        scenario(**section)


def test_batch_sizes_may_stand_in_training(made):
    """The same list there gives the same plan, and is written and read back."""
    section = document()["time_to_accuracy"]
    sizes = section.pop("batch_size")
    given = document() | {"time_to_accuracy": section}
    given["training"] = given["training"] | {"batch_size": sizes}
    loaded = Scenario.from_dict(given)
    assert Scenario.from_dict(loaded.to_dict()) == loaded
    found = plan(loaded)
    assert found.result["objective"] == made.result["objective"]
    assert found.decision == made.decision
    assert not any("training.batch_size" in note for note in found.notes)
    other = plan(loaded, problem="cut_and_resources")
    assert any("training.batch_size" in note for note in other.notes)


@pytest.mark.parametrize(
    ("sizes", "section", "words"),
    [
        (8, True, "one size is stated of each device, as 'devices[].batch_size'"),
        ([8, 8], True, "training: batch_size[1] is 8, which stands there before"),
        ([8, 64], True, "batch_size[1] is 64, and the curve was calibrated from 4 to 32"),
        ([], True, "training.batch_size: is empty"),
        ([4, 8], False, "a smaller one takes more rounds; add the section 'time_to_accuracy'"),
        ([4, 8], None, "is listed as 'time_to_accuracy.batch_size' as well; keep one"),
        (None, True, "time_to_accuracy.batch_size: this field is missing; list what may be"),
    ],
)
def test_batch_sizes_without_a_meaning_are_refused(sizes, section, words):
    """Without a curve no round says which is best; twice, or beyond the curve, neither."""
    given = document()
    if sizes is not None:
        given["training"] = given["training"] | {"batch_size": sizes}
    if section is False:
        del given["time_to_accuracy"]
    elif section:
        del given["time_to_accuracy"]["batch_size"]
    with pytest.raises(InputError, match=re.escape(words)):
        Scenario.from_dict(given)


def test_other_fleets_are_refused_unless_asked_for():
    given = document()
    given["devices"][0]["count"] = 3
    with pytest.raises(InputError, match="calibrated with 4 devices, and the scenario has 5"):
        plan(Scenario.from_dict(given))
    given["time_to_accuracy"] |= {"extrapolate": True, "batch_size": [1, 64]}
    found = plan(Scenario.from_dict(given))
    assert found.decision is not None
    assert any("beyond what it was calibrated for" in note for note in found.notes)


def test_without_a_section_there_is_a_mend():
    with pytest.raises(InputError, match="no section 'time_to_accuracy'; add one with the 'curve'"):
        plan("digits-splitfed", problem="time_to_accuracy")


def test_a_file_names_the_curve(tmp_path, capsys):
    """The curve is read beside the scenario; the plan needs it no more, and is reported."""
    RoundsCurve.from_dict(CURVE, "curve").save(tmp_path / "curve.json")
    assert RoundsCurve.load(tmp_path / "curve.json").to_dict() == CURVE
    given = document()
    given["time_to_accuracy"]["curve"] = "curve.json"
    (tmp_path / "fleet.json").write_text(json.dumps(given))
    out = tmp_path / "plan.json"
    assert run(["plan", str(tmp_path / "fleet.json"), "-o", str(out)]) == 0
    assert "one cut, one batch" in capsys.readouterr().out
    (tmp_path / "curve.json").unlink()
    assert run(["report", str(out), "-o", str(tmp_path / "page.html")]) == 0
    assert run(["simulate", str(out)]) == 0
    assert run(["plan", str(tmp_path / "fleet.json")]) == 2
