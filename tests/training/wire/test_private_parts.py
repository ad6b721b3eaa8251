"""Differential privacy of all that is trained, and of pipelines, over connections.

What is compared with one process was drawn from a test seed there and here, of which no other party
but the one that adds the noise has anything.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")

import splitopt  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.preparing.private import plan_noise, spent  # noqa: E402
from splitopt.training.privacy.accounting import epsilon_of  # noqa: E402
from splitopt.training.privacy.entropy import Entropy  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402

pytestmark = pytest.mark.train

SIZES, BATCH = (12, 20, 9), 8
RNG = np.random.default_rng(0)
DATA = (RNG.normal(size=(60, 1, 8, 8)).astype(np.float32), RNG.integers(0, 10, 60))
STAR = ("splitfed_v1", "splitfed_v2", "splitfed_v2:batch", "vanilla")
PIPELINES = ("u_shaped", "multihop")


def planned(name):
    """Plan three devices: with a server, with a server in the middle, or with two nodes."""
    scheme, _, order = name.partition(":")
    document = Scenario.load("digits-pipeline" if scheme == "multihop" else "digits-splitfed")
    document = document.to_dict()
    device = {**document["devices"][0], "batch_size": BATCH, "count": 1}
    document["devices"] = [{**device, "name": f"d{k}", "samples": n} for k, n in enumerate(SIZES)]
    document["training"] = {**document.get("training", {}), "epochs": 1, "rounds": 2}
    scenario = Scenario.from_dict(document)
    if scheme == "multihop":
        return splitopt.plan(scenario)
    return splitopt.plan(scenario, scheme=scheme, server_order=order or None)


@pytest.fixture(scope="module")
def job_of():
    """Return a function that makes a job of a plan, which is made once."""
    known = {}

    def make(name, privacy=(), **given):
        if name not in known:
            known[name] = planned(name)
        fields = {"clip_norm": 0.5, "noise_multiplier": 1.0, "insecure_test_seed": 3}
        own = Options(privacy=Privacy(**{**fields, **dict(privacy)}), **given)
        return TrainingJob(known[name], data=DATA, options=own)

    return make


NETWORK = """
from torch import nn

class Block(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)

def some():
    model = nn.Sequential()
    for name, layers in (
        ("conv1", (nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Dropout({dropout}))),
        ("pool1", (nn.MaxPool2d(2),)),
        ("conv2", (nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Dropout({dropout}))),
        ("pool2", (nn.MaxPool2d(2),)),
        ("fc1", (nn.Flatten(), nn.Linear(64, 64), nn.ReLU())),
        ("fc2", (nn.Dropout({dropout}), nn.Linear(64, 10))),
    ):
        model.add_module(name, layers[0] if len(layers) == 1 else Block(*layers))
        if {trained} and name not in {trained}:
            model.get_submodule(name).requires_grad_(False)
    return model
"""


@pytest.fixture
def network(tmp_path):
    """Return a function that writes the layers of `cnn`, with dropout or some of them frozen."""

    def write(dropout=0.0, trained=()):
        text = NETWORK.replace("{dropout}", str(dropout)).replace("{trained}", str(trained))
        (tmp_path / "network.py").write_text(text)
        return f"{tmp_path / 'network.py'}:some"

    return write


def same(found, wanted):
    found, wanted = found.state_dict(), wanted.state_dict()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


WAYS = {
    "poisson": ({}, {"momentum": 0.9, "optimizer_state": "keep"}, 0.0),
    "shuffled": ({"sampling": "shuffled", "noise": "per_sample"}, {}, 0.3),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "covers"),
    [*((name, "client") for name in PIPELINES), *((name, "model") for name in PIPELINES + STAR)],
)
def test_rounds_are_those_of_one_process(job_of, over_connections, network, name, covers, way):
    """Weights, moments and counts bit by bit, losses, bytes and epsilon; also with dropout."""
    privacy, given, dropout = WAYS[way]
    job = job_of(name, {**privacy, "covers": covers}, **given)
    job = replace(job, model=network(dropout=dropout))
    alone = prepare(job)
    assert len(alone.scheme.clients[0].cuts) == {"u_shaped": 2, "multihop": 3}.get(name, 1)
    tallies = [alone.scheme.round(number) for number in range(2)]
    wired, over = over_connections(job)
    same(wired.scheme, alone.scheme)
    assert over == tallies
    assert spent(wired.scheme) == spent(alone.scheme) != {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["multihop", "splitfed_v2:batch", "vanilla", "splitfed_v1"])
def test_batches_without_a_sample(job_of, over_connections, monkeypatch, name):
    """They are steps by noise alone, in all parts, and what follows is the same."""
    from splitopt.training.privacy.batches import Exposures, PrivateBatches

    monkeypatch.setattr(Exposures, "rate", property(lambda batches: 0.08))
    drawn, draw = [], PrivateBatches.draw

    def spy(batches):
        found = draw(batches)
        drawn.append(len(found[1]))
        return found

    monkeypatch.setattr(PrivateBatches, "draw", spy)
    job = job_of(name, {"covers": "model"}, momentum=0.9)
    alone = prepare(job)
    tallies = [alone.scheme.round(number) for number in range(2)]
    assert 2 < drawn.count(0) < len(drawn) - 2
    wired, over = over_connections(job)
    same(wired.scheme, alone.scheme)
    assert over == tallies


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", ["multihop", "splitfed_v1"])
def test_parts_that_train_nothing_are_passed_by(job_of, over_connections, network, name, first):
    """Frozen layers on a device or on all other parties: words go their way all the same."""
    trained = ("fc2",) if first else ("conv1",)
    if name == "multihop":
        trained = (*trained, "conv2")
    job = replace(job_of(name, {"covers": "model"}), model=network(trained=trained), match="names")
    alone = prepare(job)
    tallies = [alone.scheme.round(number) for number in range(2)]
    wired, over = over_connections(job)
    same(wired.scheme, alone.scheme)
    assert over == tallies


@pytest.mark.slow
@pytest.mark.parametrize("covers", ["client", "model"])
@pytest.mark.parametrize("name", PIPELINES)
def test_epsilon_is_that_of_the_batches(job_of, over_connections, name, covers):
    """By hand: 2 rounds of 2, 3 and 2 batches at the rates 8/12, 8/20, 8/9, from real secrets."""
    wired, _ = over_connections(job_of(name, {"insecure_test_seed": None, "covers": covers}))
    wanted = {
        f"d{k}": epsilon_of(1.0, BATCH / n, 2 * steps, 1e-5)
        for k, (n, steps) in enumerate(zip(SIZES, (2, 3, 2), strict=True))
    }
    assert spent(wired.scheme) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["poisson", "shuffled"])
@pytest.mark.parametrize(
    ("name", "covers"),
    [("multihop", "client"), ("multihop", "model"), ("u_shaped", "client"), ("vanilla", "model")],
)
def test_nothing_that_a_party_draws_is_sent(
    job_of, over_connections, log, monkeypatch, name, covers, sampling
):
    """Noise, choices and orders of all are looked for in every message, and in rank 0's state."""
    drawn = []
    for kind in ("normal", "chosen", "order"):
        real = getattr(Entropy, kind)

        def spy(self, *given, real=real):
            drawn.append(real(self, *given))
            return drawn[-1]

        monkeypatch.setattr(Entropy, kind, spy)
    own = {"insecure_test_seed": None, "covers": covers, "sampling": sampling}
    lead, _ = over_connections(job_of(name, own), 2, log.hear)
    kept = lead.scheme.state_dict()  # all that a checkpoint holds
    walks = {key for key in kept if ".batches." in key}
    assert walks == {f"client.{k}.batches.exposures" for k in range(3)}
    secrets = [value.double().flatten() for value in drawn if value.numel() > 4]
    assert len(secrets) > 20
    seen = 0
    for _, message in log.messages:
        walks = {key for key in message.tensors if "batches." in key}
        assert walks <= {"batches.exposures"}
    sent = [tensor for _, message in log.messages for tensor in message.tensors.values()]
    for tensor in (*sent, *kept.values()):
        flat = tensor.detach().double().flatten()
        seen += 1
        assert not any(len(flat) == len(one) and torch.equal(flat, one) for one in secrets)
    assert seen > 50


def test_the_noise_of_a_node_is_its_own(job_of, over_connections, monkeypatch):
    """As much as an owner says, in every part, of other draws than the owner's."""
    drawn = []
    real = Entropy.normal

    def spy(self, like, deviation):
        drawn.append((id(self), deviation, tuple(like.shape)))
        return real(self, like, deviation)

    monkeypatch.setattr(Entropy, "normal", spy)
    own = {"insecure_test_seed": None, "covers": "model", "clip_norm": 0.25}
    over_connections(job_of("multihop", own), 1)
    assert {deviation for _, deviation, _ in drawn} == {0.25}
    assert len({who for who, _, _ in drawn}) == 3 * 3  # an owner and two nodes for each of three
    assert sum(int(np.prod(shape)) for *_, shape in drawn) == 7 * (80 + 1168 + 4160 + 650)


@pytest.mark.slow
def test_a_target_is_the_owners_own_limit(job_of, over_connections):
    """Noise for two rounds, of owners and nodes alike; epsilon is what was asked for."""
    own = {"noise_multiplier": None, "target_epsilon": 4.0, "covers": "model"}
    job = job_of("multihop", own)
    alone = prepare(job)
    plan_noise(alone.scheme, 2)
    tallies = [alone.scheme.round(number) for number in range(2)]
    wired, over = over_connections(job, 2, planned_rounds=2)
    same(wired.scheme, alone.scheme)
    assert over == tallies
    assert all(3.9 < epsilon <= 4.0 for epsilon in spent(wired.scheme).values())
