"""The noise layer over connections: every device draws by itself, and nobody else sees the draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from safetensors.torch import load_file  # noqa: E402

import splitopt  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.pixel_dp_options import PixelDP  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.preparing.setup import set_groups  # noqa: E402
from splitopt.training.privacy.pixel.noise import PixelEntropy  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.rounds.defences import noise_of, noisy_scores  # noqa: E402
from splitopt.training.wire.launch import run_wire  # noqa: E402
from splitopt.training.wire.transport.channel import Channel  # noqa: E402

pytestmark = pytest.mark.train

SCENARIOS = {
    "splitfed_v1": ("digits-splitfed", {"solver": "equal_share"}),
    "splitfed_v2": ("digits-splitfed", {"scheme": "splitfed_v2"}),
    "alike": ("digits-splitfed", {"scheme": "splitfed_v1"}),
    "vanilla": ("digits-splitfed", {"scheme": "vanilla"}),
    "federated": ("digits-splitfed", {"scheme": "federated"}),
    "clustered": ("digits-clusters", {"solver": "similar_compute"}),
    "multihop": ("digits-pipeline", {}),
}
SAMPLES = (20, 30, 20)
IMAGES = np.random.default_rng(0).normal(size=(150, 1, 8, 8)).astype(np.float32)
DATA = (IMAGES, np.arange(150) % 10)


def options(after="conv1", seed=5, keep="recompute", **given):
    """Return options with noise that can be repeated, unless they say otherwise."""
    noise = PixelDP(after, 1.0, delta=0.05, keep=keep, draws=3, insecure_test_seed=seed)
    return Options(learning_rate=0.1, momentum=0.9, optimizer_state="keep", pixel_dp=noise, **given)


@pytest.fixture(scope="module")
def plans():
    """Plans of three devices with little data."""
    found = {}
    for name, (scenario, given) in SCENARIOS.items():
        document = Scenario.load(scenario).to_dict()
        device = {**document["devices"][0], "batch_size": 10, "count": 1}
        document["devices"] = [
            {**device, "name": f"d{k}", "samples": n} for k, n in enumerate(SAMPLES)
        ]
        document["training"] = {"epochs": 1, "rounds": 2}
        if "clusters" in document:
            document["clusters"] = {"sizes": [2, 1], "cut": "pool1"}
        found[name] = splitopt.plan(Scenario.from_dict(document), **given)
    return found


@pytest.fixture
def train(over_connections):
    """Return a function that trains a plan over real connections."""
    return lambda plan, given, rounds=2: over_connections(
        TrainingJob(plan, data=DATA, options=given), rounds
    )


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["recompute", "normalise"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_rounds_are_those_of_one_process(plans, train, name, keep):
    """With a test seed: weights, moments and counts, bit by bit, and what histories say."""
    given = options(keep=keep)
    alone = prepare(TrainingJob(plans[name], data=DATA, options=given))
    tallies = []
    for number in range(2):
        set_groups(alone.scheme, alone.program, number)
        tallies.append(alone.scheme.round(number))
    wired, over = train(plans[name], given)
    known, found = alone.scheme.state_dict(), wired.scheme.state_dict()
    assert known.keys() == found.keys()
    for key, value in known.items():
        assert torch.equal(found[key], value), key
    assert over == tallies
    assert noise_of(wired.scheme) == noise_of(alone.scheme) != {}
    scores = [noisy_scores(own.scheme, own.data, own.task) for own in (alone, wired)]
    assert scores[0] == scores[1] != {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["splitfed_v1", "splitfed_v2"])
def test_with_the_noise_of_gradients_as_well(plans, train, name):
    """Both kinds of noise are the device's own, and both are those of one process."""
    pytest.importorskip("opacus", reason="needs the extra 'privacy'")
    given = options(privacy=Privacy(0.5, 1.0, insecure_test_seed=4))
    alone = prepare(TrainingJob(plans[name], data=DATA, options=given))
    tallies = [alone.scheme.round(number) for number in range(2)]
    wired, over = train(plans[name], given)
    for key, value in alone.scheme.state_dict().items():
        assert torch.equal(wired.scheme.state_dict()[key], value), key
    assert over == tallies


@pytest.mark.one_quick
@pytest.mark.parametrize("name", ["splitfed_v1", "multihop"])
def test_every_device_draws_by_itself_and_sends_none_of_it(plans, train, monkeypatch, name):
    """Without a seed: no two devices draw the same, and no message has what was drawn."""
    drawn, came = [], []
    noise, receive = PixelEntropy.noise, Channel.receive

    def spy(entropy, *given):
        drawn.append((id(entropy), noise(entropy, *given)))
        return drawn[-1][1]

    def heard(channel, *given, **named):
        came.append(receive(channel, *given, **named))
        return came[-1]

    monkeypatch.setattr(PixelEntropy, "noise", spy)
    monkeypatch.setattr(Channel, "receive", heard)
    train(plans[name], options(seed=None), rounds=1)
    assert len({own for own, _ in drawn}) >= 3
    values = [value.flatten() for _, value in drawn]
    assert len({float(value[0]) for value in values}) == len(values)
    sent = [tensor for message in came for tensor in message.tensors.values()]
    assert len(sent) > 20
    for tensor in sent:
        flat = tensor.flatten()
        assert not any(
            len(flat) == len(one) and flat.dtype == one.dtype and torch.equal(flat, one)
            for one in values
        )


@pytest.mark.slow
def test_what_is_sent_has_noise(plans, train, monkeypatch):
    """The smashed data of the same weights and samples are never the same twice."""
    sent = []
    send = Channel.send

    def heard(channel, kind, *given, **named):
        if kind == "smashed":
            sent.append(given[1]["smashed"].clone())
        return send(channel, kind, *given, **named)

    monkeypatch.setattr(Channel, "send", heard)
    for _ in range(2):
        train(plans["splitfed_v2"], options(seed=None), rounds=1)
    first, second = sent[: len(sent) // 2], sent[len(sent) // 2 :]
    assert len(first) == len(second) == 7
    assert not any(torch.equal(a, b) for a in first for b in second)


@pytest.mark.slow
def test_processes_learn_what_one_process_learns(plans):
    """The choices go to every process, and the history is that of one."""
    given = {"data": DATA, "options": options(), "rounds": 2}
    plan = plans["splitfed_v1"]
    run = run_wire(plan, time_scale=1e-3, any_speed=True, **given)
    wanted = splitopt.train(plan, **given)
    assert [row.pixel_dp for row in run.history] == [row.pixel_dp for row in wanted.history]
    for key, value in wanted.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[key], value), key


@pytest.mark.slow
@pytest.mark.parametrize("name", ["splitfed_v1", "federated"])
def test_masked_sums_of_parts_with_a_noise_layer(plans, train, name):
    """What is learned is that of plain sums, up to their rounding."""
    pytest.importorskip("cryptography", reason="needs the extra 'tls'")
    given = replace(options(), optimizer_state="reset")
    plain, _ = train(plans[name], given, rounds=1)
    masked, _ = train(plans[name], replace(given, secure_aggregation=True), rounds=1)
    for key, value in plain.scheme.model.state_dict().items():
        assert torch.allclose(masked.scheme.model.state_dict()[key], value, atol=1e-5), key


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["recompute", "normalise"])
@pytest.mark.parametrize("name", ["alike", "splitfed_v2"])
def test_with_a_fed_server(plans, tmp_path, name, keep):
    """Real processes: weights of both servers, noise, tests under it and bytes of one process.

    The fed server makes the noise of tests, and rank 0 never has the part in which it is.
    """
    plan, given = plans[name], options(fed_server=True, keep=keep)
    wanted = splitopt.train(plan, data=DATA, options=given, rounds=2)
    once = splitopt.train(plan, data=DATA, options=replace(given, fed_server=False), rounds=2)
    quick = {"time_scale": 1e-3, "any_speed": True, "fed_model": tmp_path / "fed.safetensors"}
    run = run_wire(plan, data=DATA, options=given, rounds=2, **quick)
    assert run.history.rows == wanted.history.rows
    assert run.history.origin["pixel_dp"] == wanted.history.origin["pixel_dp"]
    for row, other in zip(wanted.history, once.history, strict=True):
        assert row.pixel_dp == other.pixel_dp
        assert row.pixel_dp["accuracy"] >= 0
        assert row.test_loss == other.test_loss
    parts = {**load_file(tmp_path / "fed.safetensors")}
    parts |= {key: run.model.state_dict()[key] for key in run.own_names}
    known = wanted.model.state_dict()
    assert parts.keys() == known.keys()
    for key, value in known.items():
        assert torch.equal(parts[key], value), key
    tests = run.history.rows[0].received_bytes["server"]["test_smashed"]
    assert run.received_bytes["server"]["test_smashed"] == 2 * tests
    assert tests % (1 + given.pixel_dp.draws) == 0
