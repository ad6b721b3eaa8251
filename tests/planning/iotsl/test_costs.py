"""What IoTSL costs and whether it pays, against the paper's figures and steps by hand."""

from math import ceil, floor

import pytest

from splitopt import Scenario, plan
from splitopt.planning.comparison.comparing import compare_schemes
from tests.planning.iotsl.cases import TRAINING, promised, scenario


def verdicts(found, where="devices"):
    (way,) = [way for way in found["ways"] if way["where"] == where]
    return {row["unit"]: row for row in way["verdicts"]}


def steps(found, where="devices"):
    (way,) = [way for way in found["ways"] if way["where"] == where]
    return {step["name"]: step["cost"] for step in way["steps"]}


@pytest.mark.slow
def test_the_papers_traffic_and_energy(paper):
    """Eq. 1 in bytes: 84.54 % saved, 84.52 % with generators and theta_a; 2.07e5 and 3.17e4 J."""
    found = paper.prediction["iotsl"]
    turn = 12_000 * (2 * 64 * 14 * 14 + 1) + 37_824
    assert found["split_learning"]["bytes"] == 97 * turn * 4
    tuned = steps(found)["fine-tune"]
    assert tuned["bytes"] == 15 * turn * 4
    assert 1 - tuned["bytes"] / found["split_learning"]["bytes"] == pytest.approx(0.8454, abs=5e-5)
    in_all = verdicts(found)["bytes"]
    assert 1 - in_all["iotsl"] / in_all["split_learning"] == pytest.approx(0.8452, abs=5e-5)
    extra = 5 * (1_114_305 * 4 + 10 * 4) + 37_824 * 4
    assert in_all["iotsl"] == 15 * turn * 4 + extra
    assert found["split_learning"]["device_j"] == pytest.approx(2.07e5, rel=0.03)
    assert tuned["device_j"] == pytest.approx(3.17e4, rel=0.03)
    assert found["split_learning"]["seconds"] == pytest.approx(12.28 * 3600, rel=0.03)
    assert tuned["seconds"] == pytest.approx(1.96 * 3600, rel=0.03)


def test_the_other_two_totals():
    """Fashion-MNIST: 77 and 23 turns, 1.71e5 and 4.91e4 J, with the same two powers."""
    document = Scenario.load("iotsl-mnist").to_dict()
    document["generators"]["training"]["epochs"] = {"without": 77, "with": 23}
    found = promised(Scenario.from_dict(document))
    assert found["split_learning"]["device_j"] == pytest.approx(1.71e5, rel=0.03)
    assert steps(found)["fine-tune"]["device_j"] == pytest.approx(4.91e4, rel=0.03)


def test_the_radio_adds_what_figure_3_says():
    """+42.6 % of the joule of computing, at the scenario's two powers."""
    document = Scenario.load("iotsl-mnist").to_dict()
    whole = promised(Scenario.from_dict(document))["split_learning"]["device_j"]
    document["devices"][0]["transmit_power"] = "1e-12 W"
    computing = promised(Scenario.from_dict(document))["split_learning"]["device_j"]
    assert whole / computing - 1 == pytest.approx(0.426, abs=0.01)


def test_break_even_by_hand(paper):
    """82 saved turns x 12,000 samples against five generators; of one generator five times that.

    The paper leaves the work of the generators out: with 2,000 steps it is 5.8 times the plain
    training.
    """
    found = paper.prediction["iotsl"]
    saved = 82 * 12_000 * 3 * 2 * 29_704_192  # operations of the device part, both ways
    step = 32 * (5 * 0.686336128e9 + 0.302153856e9)
    row = verdicts(found)["flop"]
    assert row["break_even_steps"] == pytest.approx(saved / (5 * step), rel=1e-9)
    assert row["break_even_steps"] == pytest.approx(293.6, abs=0.1)
    assert not row["pays"]
    document = Scenario.load("iotsl-mnist").to_dict()
    document["generators"]["training"]["counted_in"] = "rounds"
    rounds = verdicts(promised(Scenario.from_dict(document)))["flop"]["break_even_steps"]
    assert rounds == pytest.approx(5 * row["break_even_steps"], rel=1e-9)


def test_seconds_are_those_of_compare(paper):
    """Five turns are a round of vanilla SL at the same cut; its bytes but labels and hand-over."""
    row = compare_schemes("iotsl-mnist", time_limit_s=5).row("sl")
    found = paper.prediction["iotsl"]
    assert row.cut == "3 (pool1)"
    assert found["split_learning"]["seconds"] == pytest.approx(97 / 5 * row.round_s)
    assert found["split_learning"]["device_j"] == pytest.approx(97 / 5 * row.energy_j)
    each = found["split_learning"]["bytes"] / 97
    assert 5 * each == pytest.approx(row.traffic_bytes + 5 * (12_000 * 4 - 37_824 * 4))


def test_every_step_by_hand():
    """Two unlike devices, one of which lacks two classes; all numbers from the documents."""
    given = scenario()
    profile = given.load_model()
    work = float((profile.device_forward_flop + profile.device_backward_flop)[0])
    behind = float((profile.server_forward_flop + profile.server_backward_flop)[0])
    whole = float((profile.device_forward_flop + profile.device_backward_flop)[-1])
    up, down = float(profile.smashed_bytes[0]), float(profile.gradient_bytes[0])
    model = float(profile.device_model_bytes[0])
    found = promised(given)
    rows = steps(found)
    assert list(rows) == [
        "train generators",
        "generators and histograms up",
        "pre-train at the server",
        "pre-trained part down",
        "pair and impute",
        "fine-tune",
    ]
    flop = 10 * 8 * (4 * 3e6 + 2e6)
    train = rows["train generators"]
    assert train["device_flop"] == 2 * flop
    assert train["seconds"] == pytest.approx(flop / 10e6)  # the slower one
    assert train["device_j"] == pytest.approx(4 * flop / 10e6 + 5 * flop / 20e6)
    size = 1e6 + 3 * 4
    sent = rows["generators and histograms up"]
    assert sent["bytes"] == 2 * size
    assert sent["seconds"] == pytest.approx(8 * size / 16e6 + 8 * size / 4e6)
    assert sent["device_j"] == pytest.approx(2 * 8 * size / 16e6 + 1 * 8 * size / 4e6)
    server = 160 * (1e6 + 2 * whole)
    assert rows["pre-train at the server"]["server_flop"] == pytest.approx(server)
    assert rows["pre-train at the server"]["seconds"] == pytest.approx(server / 1e9)
    assert rows["pre-trained part down"]["seconds"] == pytest.approx(8 * model / 40e6)
    # far has 60 samples of its one class, so that it makes 60 of each of the two others.
    pair = rows["pair and impute"]
    assert pair["bytes"] == 1e6
    assert pair["device_flop"] == 120e6
    assert pair["seconds"] == pytest.approx(8e6 / 40e6 + 1 + 120e6 / 20e6)

    def turn(samples, rate, speed):
        device, sending = samples * work / speed, 8 * (samples * up + model) / rate
        return device + sending + 8 * (samples * down + model) / 40e6 + samples * behind / 1e9

    def joule(samples, rate, speed, watt, radio):
        sending = 8 * (samples * up + model) / rate
        return watt * samples * work / speed + radio * sending

    alone = found["split_learning"]  # cam has four of the seven turns
    near, far = (100, 16e6, 10e6), (60, 4e6, 20e6)
    assert alone["seconds"] == pytest.approx(4 * turn(*near) + 3 * turn(*far))
    assert alone["device_flop"] == pytest.approx((4 * 100 + 3 * 60) * work)
    assert alone["bytes"] == pytest.approx(580 * (up + down + 4) + 7 * model)
    assert alone["device_j"] == pytest.approx(4 * joule(*near, 4, 2) + 3 * joule(*far, 5, 1))
    tuned = rows["fine-tune"]  # the made samples are trained with
    assert tuned["seconds"] == pytest.approx(2 * turn(*near) + turn(180, 4e6, 20e6))
    assert tuned["bytes"] == pytest.approx(380 * (up + down + 4) + 3 * model)
    total = found["ways"][0]["total"]
    for unit in ("bytes", "device_flop", "device_j", "server_flop", "seconds"):
        assert total[unit] == pytest.approx(sum(row[unit] for row in rows.values()))
    shares = {row["name"]: row for row in found["devices"]}
    assert shares["far"]["imputed_samples"] == 120
    assert sum(row["flop_with"] for row in shares.values()) == pytest.approx(total["device_flop"])
    assert sum(row["joule_with"] for row in shares.values()) == pytest.approx(total["device_j"])


def test_the_edge_machine_by_hand():
    """Samples go there; it trains both generators in turn, and its joule counts."""
    found = promised(scenario(where="edge"))
    assert [way["where"] for way in found["ways"]] == ["edge", "devices"]
    rows = steps(found, "edge")
    assert rows["samples to the edge"]["bytes"] == 160e3
    assert rows["samples to the edge"]["seconds"] == pytest.approx(800e3 / 8e6 + 480e3 / 4e6)
    flop = 2 * 10 * 8 * (4 * 3e6 + 2e6)
    train = rows["train generators"]
    assert (train["device_flop"], train["edge_flop"]) == (0.0, flop)
    assert train["seconds"] == pytest.approx(flop / 1e9)
    assert train["edge_j"] == pytest.approx(20 * flop / 1e9)
    sent = rows["generators and histograms up"]
    assert sent["bytes"] == 2e6 + 2 * 12
    assert sent["seconds"] == pytest.approx(16e6 / 8e6 + 96 / 16e6 + 96 / 4e6)
    at_devices, at_edge = verdicts(found), verdicts(found, "edge")
    assert at_edge["flop"]["iotsl"] == pytest.approx(at_devices["flop"]["iotsl"])
    saved = at_devices["flop"]["iotsl"] - at_edge["device_flop"]["iotsl"]
    assert saved == pytest.approx(flop)
    assert set(at_edge) - set(at_devices) == {"device_flop", "device_joule"}


@pytest.mark.parametrize("where", ["devices", "edge"])
def test_it_pays_up_to_the_break_even_and_not_beyond(where):
    """The plan at the last number of steps that pays, and at the next one."""
    changes = {"generator_work": "1 kFLOP", "critic_work": "1 kFLOP", "pretraining_epochs": None}
    found = verdicts(promised(scenario(where=where, **changes)), where)
    checked = 0
    for unit, row in found.items():
        steps_ = row.get("break_even_steps")
        if not steps_ or steps_ < 1:
            continue
        for count, pays in ((ceil(steps_) - 1, True), (floor(steps_) + 1, False)):
            other = verdicts(promised(scenario(where=where, steps=count, **changes)), where)
            assert other[unit]["pays"] == pays, (unit, count)
            checked += 1
    assert checked >= 4


@pytest.mark.parametrize(
    ("section", "changes", "bytes_up", "bytes_down"),
    [
        ({"route": "direct"}, {}, 2e6 + 24, 1e6),
        ({"route": "direct"}, {"pretraining_epochs": None}, 24, 1e6),
        ({"route": "stored"}, {"pretraining_epochs": None}, 2e6 + 24, 1e6),
        ({"generates": {"far": []}}, {}, 1e6 + 24, 1e6),
    ],
)
def test_what_is_sent(section, changes, bytes_up, bytes_down):
    """Generators that go straight to devices come to the server only for pre-training."""
    rows = steps(promised(scenario(section, **changes)))
    assert rows["generators and histograms up"]["bytes"] == bytes_up
    assert rows["pair and impute"]["bytes"] == bytes_down
    assert ("pre-train at the server" in rows) == ("pretraining_epochs" not in changes)


def test_straight_from_device_to_device():
    """At the slower of both links, and the sender is on air as long."""
    found = steps(promised(scenario({"route": "direct"})))["pair and impute"]
    assert found["seconds"] == pytest.approx(8e6 / 16e6 + 1 + 120e6 / 20e6)
    assert found["device_j"] == pytest.approx(2 * 8e6 / 16e6 + 5 * 120e6 / 20e6)


def test_imputed_samples_as_stated():
    found = promised(scenario(imputed_samples=7))
    assert [row["imputed_samples"] for row in found["devices"]] == [0, 14]


def test_without_powers_joule_is_not_known():
    document = scenario().to_dict()
    del document["devices"][0]["transmit_power"]
    made = plan(Scenario.from_dict(document))
    found = made.prediction["iotsl"]
    assert "joule" not in verdicts(found)
    assert "device_j" not in found["split_learning"]
    assert any("energy is not shown" in note for note in made.notes)


def test_without_the_edge_machines_power_only_the_devices_joule_is_known():
    edge = {key: value for key, value in TRAINING["edge"].items() if key != "power"}
    found = verdicts(promised(scenario(edge=edge)), "edge")
    assert "joule" not in found
    assert "device_joule" in found


def test_without_training_nothing_changes():
    """No part ``iotsl`` in the file, and the note that the plan is about the exchange alone."""
    document = scenario().to_dict()
    del document["generators"]["training"]
    made = plan(Scenario.from_dict(document))
    assert "iotsl" not in made.prediction
    assert any("exchange of generators alone" in note for note in made.notes)
