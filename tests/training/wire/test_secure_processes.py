"""Secure aggregation among real processes: killed in each phase, bytes as predicted, resumed."""

from __future__ import annotations

import signal

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("cryptography", reason="needs the extra 'tls'")

import splitopt  # noqa: E402
from splitopt.errors import TrainingError  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.masked import planned_sum  # noqa: E402
from splitopt.training.validation.measuring import measured_of  # noqa: E402
from splitopt.training.wire import launch  # noqa: E402
from splitopt.training.wire.star.secure.aggregation import Aggregation  # noqa: E402
from splitopt.training.wire.star.server import Server  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.slow]

SECURE = Options(secure_aggregation=True)
FAST = {"time_scale": 1e-3, "any_speed": True}


@pytest.fixture(scope="module")
def plans():
    """Plans of four devices with few samples, by scheme."""
    document = Scenario.load("digits-splitfed").to_dict()
    first, *_ = document["devices"]
    document["devices"] = [
        first | {"name": f"d{k}", "samples": 48 + 32 * k, "count": 1} for k in range(4)
    ]
    document["training"] = {"epochs": 1, "rounds": 3}
    return {
        name: splitopt.plan(Scenario.from_dict(document), scheme=name)
        for name in ("splitfed_v1", "splitfed_v2", "federated")
    }


def assert_near(found, wanted):
    """Compare weights within what some rounds make of roundings of float32 (a ReLU may flip)."""
    for name, value in wanted.state_dict().items():
        assert (found.state_dict()[name] - value).abs().max() <= 2e-3, name


@pytest.mark.parametrize("name", ["splitfed_v1", "splitfed_v2", "federated"])
def test_processes_learn_what_one_process_learns(plans, started, name):
    """Within quantisation; all bytes are those that were predicted, by kind."""
    run = launch.run_wire(plans[name], options=SECURE, rounds=2, **FAST)
    wanted = splitopt.train(plans[name], options=Options(), rounds=2)
    losses = [row.loss for row in run.history], [row.loss for row in wanted.history]
    assert losses[0][0] == losses[1][0]  # of the first round, before any average
    assert losses[0][1] == pytest.approx(losses[1][1], rel=1e-3)
    assert_near(run.model, wanted.model)
    rows = {row.kind: (row.predicted, row.measured) for row in measured_of(run).traffic}
    planned = planned_sum(run.program, 4)
    assert rows["masked"] == (2 * planned.masked,) * 2
    assert rows["secure"] == (2 * (sum(planned) - planned.masked),) * 2
    assert rows["model"][0] == rows["model"][1]
    told = run.history.origin["secure_aggregation"]
    assert (told["clients"], told["threshold"]) == (4, 3)
    assert told["round_bytes"] == planned._asdict()
    for row in run.history:
        assert row.traffic_bytes["model_up"] == planned.masked
        assert row.traffic_bytes["secure_up"] + row.traffic_bytes["secure_down"] == (
            sum(planned) - planned.masked
        )
    tasks = {(t.resource, t.phase, t.owner, t.batch) for t in run.timelines[1]}
    assert tasks == {(t.resource, t.phase, t.owner, t.batch) for t in run.predicted[1]}


def test_a_fed_server_among_processes(plans, started):
    """It averages what it cannot read; rank 0 has counted what it has received."""
    options = Options(secure_aggregation=True, fed_server=True)
    run = launch.run_wire(plans["splitfed_v1"], options=options, rounds=2, **FAST)
    wanted = splitopt.train(plans["splitfed_v1"], options=Options(fed_server=True), rounds=2)
    assert [row.accuracy for row in run.history] == pytest.approx(
        [row.accuracy for row in wanted.history], abs=0.01
    )
    planned = planned_sum(run.program, 4)
    assert run.sent_bytes["masked"] == 2 * planned.masked == run.received_bytes["fed"]["masked"]
    assert "model" not in run.received_bytes["fed"]
    rows = {row.kind: (row.predicted, row.measured) for row in measured_of(run).traffic}
    assert rows["fed_received_masked"] == (2 * planned.masked,) * 2
    assert rows["secure"][0] == rows["secure"][1]
    received = run.history.received_bytes()
    assert received["fed"]["masked"] == 2 * planned.masked


@pytest.mark.parametrize("phase", ["before shares", "before its mask", "behind its mask"])
def test_a_process_that_is_killed_does_not_lose_the_round(plans, started, monkeypatch, phase):
    """By SIGKILL in round 2, of three; the others go on, and the last round is without it."""

    def kill(number):
        if number == 1:
            process = started[0].started[2]
            process.send_signal(signal.SIGKILL)
            process.wait()

    if phase == "before shares":
        agree = Aggregation.agree

        def agreed(self, n, ways):
            if n == 2:
                kill(int(self._label.split()[1]))
            agree(self, n, ways)

        monkeypatch.setattr(Aggregation, "agree", agreed)
    elif phase == "before its mask":
        hand = Server.hand_part

        def handed(self, n):
            if n == 2:  # keys and shares are all there
                kill(self.number)
            hand(self, n)

        monkeypatch.setattr(Server, "hand_part", handed)
    else:
        unmask = Aggregation.unmask

        def unmasked(self, *given):
            kill(int(self._label.split()[1]))
            unmask(self, *given)

        monkeypatch.setattr(Aggregation, "unmask", unmasked)
    run = launch.run_wire(plans["splitfed_v1"], options=SECURE, rounds=3, **FAST)
    assert len(run.history) == 3
    lost = () if phase == "behind its mask" else ("d2",)
    assert [row.dropped for row in run.history] == [(), lost, ("d2",)]
    assert len(run.dropped) == 1
    assert run.dropped[0].startswith("d2 in round 2")
    assert all(value.isfinite().all() for value in run.model.state_dict().values())


def test_below_the_threshold_the_run_ends_and_goes_on_later(plans, tmp_path, started, monkeypatch):
    """Two of four are killed in round 2: one sentence, exit code 1, a checkpoint of round 1."""
    hand = Server.hand_part

    def handed(self, n):
        if n in (1, 2) and self.number == 1 and len(started) == 1:
            process = started[0].started[n]
            process.send_signal(signal.SIGKILL)
            process.wait()
        hand(self, n)

    monkeypatch.setattr(Server, "hand_part", handed)
    given = {"options": SECURE, "rounds": 3, "checkpoint": tmp_path / "kept", **FAST}
    with pytest.raises(TrainingError, match=r"round 2: secure aggregation: 2 of 4 .* 3, so that"):
        launch.run_wire(plans["splitfed_v1"], **given)
    run = launch.run_wire(plans["splitfed_v1"], resume=True, **given)
    wanted = splitopt.train(plans["splitfed_v1"], options=Options(), rounds=3)
    assert [row.round for row in run.history] == [1, 2, 3]
    assert_near(run.model, wanted.model)
