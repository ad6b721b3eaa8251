"""Plans of clusters and spectrum, from a scenario to what is promised."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import Scenario, plan
from splitopt.planning import open_plan


def cell(**changes):
    """Change sections of the shipped cell, with devices that differ."""
    document = Scenario.load("cpsl-identical").to_dict()
    device = document["devices"][0]
    device.pop("snr")
    document["devices"] = [
        {
            **device,
            "name": f"d{n}",
            "count": 1,
            "compute": f"{0.2 + 0.1 * n:.1f} GMAC/s",
            "snr_db": 9 + n,
        }
        for n in range(6)
    ]
    document["clusters"] = {"size": 3, "cut": 1}
    return Scenario.from_dict({**document, **changes})


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_plan_promises_what_its_decision_does(epochs):
    """Clusters add up to the round, waits are what the slowest of each phase leaves."""
    scenario = cell(training={"epochs": epochs, "rounds": 10})
    made = plan(scenario, problem="cluster_and_spectrum", objective="round", solver="enumerate")
    told = made.prediction
    assert told["round_s"] == pytest.approx(made.result["objective"], rel=1e-12)
    assert told["training_s"] == pytest.approx(10 * told["round_s"])
    assert sum(row["seconds"] for row in told["clusters"]) == pytest.approx(told["round_s"])
    assert told["bottleneck"]["seconds"] == max(row["seconds"] for row in told["clusters"])
    assert ("inner_s" in told["clusters"][0]) == (epochs > 1)
    opened = open_plan(made)
    server = 3 * opened.problem.server_s_per_device
    for row in told["devices"]:
        cluster = told["clusters"][row["cluster"]]
        assert row["name"] in cluster["devices"]
        idle = cluster["starting_s"] - server - row["starting_s"]
        idle += cluster["ending_s"] - row["ending_s"]
        if epochs > 1:
            idle += (epochs - 1) * (cluster["inner_s"] - server - row["inner_s"])
        assert row["waits_s"] == pytest.approx(idle, abs=1e-12)
        assert row["waits_s"] >= -1e-12
    for cluster in told["clusters"]:
        own = [row for row in told["devices"] if row["name"] in cluster["devices"]]
        assert cluster["subcarriers"] == sum(row["subcarriers"] for row in own) <= 30
        slowest = max(own, key=lambda row: row["ending_s"])
        assert cluster["held_up_by"]["ending"] == slowest["name"]


def test_too_few_subcarriers_say_what_would_do():
    """No plan, and the number of subcarriers that would make one."""
    scenario = cell(spectrum={"subcarriers": 2, "bandwidth": "1 MHz"})
    made = plan(scenario, problem="cluster_and_spectrum", objective="round")
    assert made.decision is None
    assert made.result["outcome"] == "infeasible"
    assert "provide 3 subcarriers" in made.result["message"]


def test_notes_say_what_was_read_in_which_way():
    """Mini-batches that differ and readings of the paper are said."""
    scenario = cell(
        clusters={"size": 3, "cut": 1, "gradient_batch_factor": "literal"},
        spectrum={"subcarriers": 9, "bandwidth": "1 MHz", "device_model_over_full_band": True},
    )
    document = scenario.to_dict()
    document["devices"][0]["batch_size"] = 8
    made = plan(Scenario.from_dict(document), problem="cluster_and_spectrum", objective="round")
    text = "\n".join(made.notes)
    assert "mini-batches differ" in text
    assert "the size of one sample's" in text
    assert "over all subcarriers" in text
    plain = cell(spectrum={"subcarriers": 9, "bandwidth": "1 MHz"})
    same = plan(plain, problem="cluster_and_spectrum", objective="round")
    assert same.notes == ("not used here: devices[].samples",)
    assert np.isfinite(same.prediction["round_s"])
