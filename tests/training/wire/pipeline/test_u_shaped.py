"""A star whose devices keep both ends: trained, over connections, validated; labels stay home."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.validation.measuring import measured_of  # noqa: E402
from splitopt.training.wire.launch import run_wire  # noqa: E402

pytestmark = pytest.mark.train

SAMPLES = (20, 30, 20)
RNG = np.random.default_rng(0)
DATA = (RNG.normal(size=(150, 1, 8, 8)).astype(np.float32), RNG.integers(0, 10, 150))
KEEP = Options(learning_rate=0.1, momentum=0.9, optimizer_state="keep")


def star(scheme):
    """Plan three devices with a server."""
    document = Scenario.load("digits-splitfed").to_dict()
    device = {**document["devices"][0], "batch_size": 10, "count": 1}
    document["devices"] = [{**device, "name": f"d{k}", "samples": n} for k, n in enumerate(SAMPLES)]
    document["training"] = {"epochs": 1, "rounds": 2}
    return splitopt.plan(Scenario.from_dict(document), scheme=scheme)


@pytest.fixture(scope="module")
def plans():
    """Plans of a U shape, and of two parts."""
    return {scheme: star(scheme) for scheme in ("u_shaped", "splitfed_v1")}


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["none", "int8"])
def test_rounds_over_connections_are_those_of_one_process(plans, over_connections, codec):
    """Weights, moments, walks and random numbers, bit by bit, and the bytes of every kind."""
    job = TrainingJob(plans["u_shaped"], data=DATA, options=replace(KEEP, codec=codec))
    alone = prepare(job)
    assert alone.scheme.name == "u_shaped"
    tallies = [alone.scheme.round(number) for number in range(2)]
    wired, over = over_connections(job)
    for key, value in alone.scheme.state_dict().items():
        assert torch.equal(wired.scheme.state_dict()[key], value), key
    assert over == tallies
    assert all(tally.traffic.label == 0 for tally in over)


def test_it_is_learned_as_one_model_of_each_device_would(plans):
    """Averages of whole models that were trained uncut: where they are cut changes nothing."""
    job = TrainingJob(plans["u_shaped"], data=DATA, options=KEEP)
    cut, whole = prepare(job), prepare(TrainingJob(plans["u_shaped"], data=DATA, options=KEEP,
                                                   scheme="federated"))  # fmt: skip
    for number in range(2):
        cut.scheme.round(number)
        whole.scheme.round(number)
    for name, value in whole.scheme.model.state_dict().items():
        assert torch.equal(cut.scheme.model.state_dict()[name], value), name


def sent_labels(over_connections, log, monkeypatch, plan):
    """Train a round, and return which parties received labels of a batch, by kind of message."""
    drawn, draw = [], Batches.draw

    def spy(batches):
        inputs, targets = draw(batches)
        drawn.append(targets.double().flatten())
        return inputs, targets

    monkeypatch.setattr(Batches, "draw", spy)
    lead, _ = over_connections(TrainingJob(plan, data=DATA, options=KEEP), 1, log.hear)
    whole = [client.batches.targets.double().flatten() for client in lead.scheme.clients]
    assert len(drawn) == 7
    found = set()
    for party, message in log.messages:
        for value in message.tensors.values():
            flat = value.detach().double().flatten()
            for labels in (*drawn, *whole):
                n = len(labels)
                if len(flat) >= n and (flat.unfold(0, n, 1) == labels).all(1).any():
                    found.add((party, message.kind))
    return found


@pytest.mark.slow
def test_labels_are_in_no_message(plans, over_connections, log, monkeypatch):
    """Of a batch, or of all: the log of every party is searched by value."""
    assert sent_labels(over_connections, log, monkeypatch, plans["u_shaped"]) == set()
    assert {m.kind for _, m in log.messages}.isdisjoint({"labels"})
    parties = {party for party, _ in log.messages}
    assert parties >= {"rank 0", "gateway", "d0", "d1", "d2"}


@pytest.mark.slow
def test_with_two_parts_the_same_search_finds_them(plans, over_connections, log, monkeypatch):
    """So that the test above could fail."""
    found = sent_labels(over_connections, log, monkeypatch, plans["splitfed_v1"])
    assert found == {("rank 0", "labels")}


@pytest.mark.slow
def test_processes_are_validated(plans):
    """Real processes: what one process learns, the bytes and the tasks of the plan."""
    plan = plans["u_shaped"]
    given = {"data": DATA, "options": KEEP, "rounds": 2}
    run = run_wire(plan, time_scale=1e-2, any_speed=True, **given)
    wanted = splitopt.train(plan, **given)
    assert run.history == wanted.history
    for row in measured_of(run).traffic:
        assert row.predicted == row.measured, row.kind
    for number, timeline in enumerate(run.timelines):
        tasks = {(t.resource, t.phase, t.owner, t.batch) for t in timeline}
        predicted = run.program.replay_of(number).timeline
        assert tasks == {(t.resource, t.phase, t.owner, t.batch) for t in predicted}
