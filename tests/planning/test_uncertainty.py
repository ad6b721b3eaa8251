"""The interval of a round, from those of the machines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splitopt import ModelProfile, Scenario, plan
from splitopt.plans import Plan
from splitopt.profiles import Interval, MachineModel, MachineTimes, load_profile
from splitopt.report.summary import summarize

MODEL = MachineModel(
    "pi", 8, (1e-8, 0.0, 5e-8, 1e-8, 1e-9, 1e-5), 1e-3, Interval(0.9, 0.8, 1.3, "by hand")
)
SERVER = replace(
    MODEL.scaled(0.01), name="box", message_s=0.0, interval=Interval(0.95, 0.5, 2.0, "by hand")
)


def document(device, server, **sections):
    return {
        "model": "cnn-digits",
        "devices": [
            {"name": "a", "count": 2, "samples": 64, **device},
            {"name": "b", "samples": 32, **device},
        ],
        "servers": [{"name": "s", **server}],
        "links": {"downlink": "100 Mbit/s", "uplink": "100 Mbit/s"},
        **sections,
    }


def of_model(model):
    return {"machine_model": model.to_dict()}


def test_bounds_of_a_round_by_hand():
    """The slowest device: transfers as they are, its seconds 0.8 or 1.3, the server's 0.5 or 2."""
    made = plan(Scenario.from_dict(document(of_model(MODEL), of_model(SERVER))))
    found = made.prediction["round_interval"]
    rows = made.prediction["devices"]
    ends = {}
    for end, own, server in (("low_s", 0.8, 0.5), ("high_s", 1.3, 2.0)):
        ends[end] = max(
            row["download_s"] + row["upload_s"] + own * row["device_s"] + server * row["server_s"]
            for row in rows
        )
    assert made.prediction["devices"][0]["server_s"] > 0
    assert found["low_s"] == pytest.approx(ends["low_s"], rel=1e-12)
    assert found["high_s"] == pytest.approx(ends["high_s"], rel=1e-12)
    assert found["level"] == 0.9
    assert found["low_s"] < made.prediction["round_s"] < found["high_s"]


def test_every_drawn_machine_stays_inside():
    """Whatever factors the machines have within their intervals, the round is between the ends."""
    draw = np.random.default_rng(0)
    made = plan(Scenario.from_dict(document(of_model(MODEL), of_model(SERVER))))
    found, rows = made.prediction["round_interval"], made.prediction["devices"]
    for _ in range(200):
        server = draw.uniform(0.5, 2.0)
        own = draw.uniform(0.8, 1.3, 3)
        real = max(
            row["download_s"] + row["upload_s"] + mine * row["device_s"] + server * row["server_s"]
            for row, mine in zip(rows, own, strict=True)
        )
        assert found["low_s"] - 1e-12 <= real <= found["high_s"] + 1e-12


@pytest.mark.parametrize(
    ("device", "server", "words"),
    [
        ({"compute": "1 GFLOP/s"}, of_model(SERVER), r"devices[0] (a) has a stated speed"),
        (of_model(MODEL), {"compute": "1 TFLOP/s"}, r"servers[0] (s) has a stated speed"),
        (of_model(replace(MODEL, interval=None)), of_model(SERVER), r"without an interval"),
    ],
)
def test_unknown_says_why(device, server, words):
    """One line, in the plan and in its summary."""
    made = plan(Scenario.from_dict(document(device, server)))
    assert words in made.prediction["round_interval"]["unknown"]
    facts = dict(summarize(made).facts)
    assert words in facts["A real round"]


def test_a_publication_says_so():
    """Work from a published regression is named as such."""
    made = plan(Scenario.generate(seed=0, devices=2))
    assert "stated speed and published work" in made.prediction["round_interval"]["unknown"]


def test_measured_machines_have_their_own(tmp_path):
    """Times that were measured here carry the interval of their passes to the round."""
    base = load_profile("cnn-digits")
    ones = np.full(base.layer_count, 1e-3)
    measured = np.ones(base.layer_count, dtype=bool)
    times = MachineTimes(ones, 2 * ones, ones, measured, Interval(0.9, 0.9, 1.2, "by hand"), 8)
    profile = replace(base, machines={"pi": times, "old": replace(times, interval=None)})
    profile.save(tmp_path / "mine.json")
    path = tmp_path / "fleet.yaml"
    described = document({"machine": "pi"}, {"machine": "pi"})
    described |= {"format": "splitopt-scenario", "version": 1, "model": {"file": "mine.json"}}
    path.write_text(repr(described))
    made = plan(Scenario.load(path))
    found, row = made.prediction["round_interval"], made.prediction["devices"][0]
    work = row["device_s"] + row["server_s"]
    assert found["high_s"] == pytest.approx(row["round_s"] + 0.2 * work)
    assert found["low_s"] == pytest.approx(row["round_s"] - 0.1 * work)
    path.write_text(repr(described).replace("'machine': 'pi'", "'machine': 'old'"))
    unknown = plan(Scenario.load(path)).prediction["round_interval"]["unknown"]
    assert "'old', whose times in cnn-digits have no interval" in unknown


def test_a_pipeline_has_an_interval_too(tmp_path):
    """Nodes and owners at both ends; a cost per message is noted, as it is not in the plan."""
    nodes = [{"name": "n", "count": 2, **of_model(MODEL)}]
    described = document(of_model(MODEL), {"compute": "1 TFLOP/s"}, nodes=nodes)
    # the server of another problem is of no matter, whatever is known of it
    for device in described["devices"]:
        device["batch_size"] = 16
    made = plan(Scenario.from_dict(described))
    found = made.prediction["round_interval"]
    assert found["low_s"] < made.prediction["round_s"] < found["high_s"]
    assert any("0.001 s per message of its machine model" in note for note in made.notes)
    assert any("trains batches of 16, but its machine model is for" in note for note in made.notes)
    made.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json").prediction["round_interval"] == found


def test_a_guess_is_noted_where_it_matters():
    """The network has convolutions and no depthwise ones: only the first guess is of interest."""
    guesses = tuple(
        f"No network that it was fitted to has {words}: they count as others do, which is a guess."
        for words in ("convolutions", "depthwise convolutions")
    )
    made = plan(
        Scenario.from_dict(document(of_model(replace(MODEL, notes=guesses)), of_model(SERVER)))
    )
    assert [note for note in made.notes if "guess" in note] == [
        f"devices[0] (a): {guesses[0]}",
        f"devices[1] (b): {guesses[0]}",
    ]


def test_a_plan_of_an_earlier_version_is_shown():
    """It has no interval, and the summary does not speak of one."""
    made = plan(Scenario.from_dict(document(of_model(MODEL), of_model(SERVER))))
    prediction = {k: v for k, v in made.prediction.items() if k != "round_interval"}
    old = Plan.from_dict(replace(made, prediction=prediction).to_dict())
    assert not any(label == "A real round" for label, _ in summarize(old).facts)
    assert isinstance(ModelProfile.from_dict(old.profile, "x"), ModelProfile)
