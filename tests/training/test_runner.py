"""`splitopt.train`: a plan, a model and data to weights and a history."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import CapabilityError, InputError  # noqa: E402
from splitopt.models import build  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.schemes import TrainingError  # noqa: E402

pytestmark = pytest.mark.train

NAMES = ["digits-splitfed", "digits-clusters", "digits-pipeline"]
FAST = Options(learning_rate=0.1, momentum=0.9)


def same_bits(one, two):
    """Whether two models have equal tensors, bit by bit."""
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_training_learns_and_counts_what_the_profile_says(plan_of, name):
    """Digits are learned in a few rounds; bytes are those of the profile, time the plan's."""
    plan = plan_of(name)
    run = splitopt.train(plan, rounds=8, options=FAST)
    rows = run.history.rows
    assert (len(rows), run.stopped) == (8, "rounds")
    assert run.history.best.accuracy > 0.6
    assert rows[-1].loss < rows[0].loss
    program = program_of(plan)
    table = {
        layer: (model, smashed, gradient)
        for layer, model, smashed, gradient in zip(
            program.profile.layers,
            program.profile.device_model_bytes,
            program.profile.smashed_bytes,
            program.profile.gradient_bytes,
            strict=True,
        )
    }
    whole = program.profile.device_model_bytes[-1]
    smashed = gradient = model = label = 0.0
    for client in program.clients:
        seen = client.samples  # one walk through the data in a round, also ten times 16 of 160
        smashed += seen * sum(table[cut][1] for cut in client.cuts)
        gradient += seen * sum(table[cut][2] for cut in client.cuts)
        own = table[client.cuts[0]][0] if client.cuts else whole
        model += own + (whole - table[client.cuts[-1]][0] if len(client.cuts) > 1 else 0.0)
        label += 8 * seen * (len(client.cuts) == 1)
    for row in rows:
        assert row.samples == sum(client.samples for client in program.clients)
        assert row.traffic_bytes == {
            "smashed": smashed,
            "gradient": gradient,
            "label": label,
            "model_down": model,
            "model_up": model,
            "statistics": 0,  # the network has none
        }
        assert row.round_s == pytest.approx(program.replay.simulated_s)
    assert rows[-1].clock_s == pytest.approx(8 * rows[0].round_s)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits(plan_of):
    """Weights and history depend on the seed only, not on what was drawn before."""
    plan = plan_of("digits-clusters")
    one = splitopt.train(plan, rounds=2, seed=3)
    torch.rand(7)
    two = splitopt.train(plan, rounds=2, seed=3)
    other = splitopt.train(plan, rounds=2, seed=4)
    assert same_bits(one.model, two.model)
    assert one.history == two.history
    assert not same_bits(one.model, other.model)


@pytest.mark.slow
def test_cuts_change_who_computes_and_not_what_is_learned(plan_of):
    """A plan of SplitFedV1 or MP-SL learns what federated learning of the same clients does."""
    for name in ("digits-splitfed", "digits-pipeline"):
        plan = plan_of(name)
        split = splitopt.train(plan, rounds=2, options=FAST)
        whole = splitopt.train(plan, rounds=2, options=FAST, scheme="federated")
        assert same_bits(split.model, whole.model)
        assert split.history.traffic_bytes()["smashed"] > 0
        assert whole.history.traffic_bytes()["smashed"] == 0


@pytest.mark.slow
def test_rounds_that_vary_have_clusters_and_seconds_of_their_own(plan_of):
    """Each round takes the seconds of its sample."""
    plan = plan_of("digits-varying")
    program = program_of(plan)
    run = splitopt.train(plan, rounds=4)
    expected = [program.replay_of(number).simulated_s for number in range(4)]
    assert [row.round_s for row in run.history] == pytest.approx(expected)
    assert run.history.clock_s == pytest.approx(np.sum(expected))


@pytest.mark.slow
def test_centralized_training_sees_as_many_samples(plan_of):
    """All data in one place: nothing travels, no time is known, the plan's samples are seen."""
    for name in ("digits-splitfed", "digits-clusters"):
        plan = plan_of(name)
        run = splitopt.train(plan, rounds=1, scheme="centralized")
        split = splitopt.train(plan, rounds=1)
        (row,) = run.history.rows
        assert row.samples == split.history.rows[0].samples
        assert sum(row.traffic_bytes.values()) == 0
        assert (row.round_s, row.clock_s) == (None, None)


@pytest.mark.slow
def test_a_model_of_the_user(plan_of, make, tmp_path):
    """A module is trained as a copy, against a plan that was made for its own table."""
    model = make.cnn(batch_norm=True, dropout=0.2)
    model[7][1] = nn.Linear(16, 10)
    before = copy.deepcopy(model)
    with pytest.raises(InputError, match="fingerprint"):
        splitopt.train(plan_of("digits-clusters"), model, rounds=1)
    trace(model, torch.zeros(2, 1, 8, 8), name="mine").profile.save(tmp_path / "mine.json")
    document = splitopt.Scenario.load("digits-clusters").to_dict()
    document["model"] = {"file": str(tmp_path / "mine.json")}
    document["clusters"]["cut"] = 1
    plan = splitopt.plan(splitopt.Scenario.from_dict(document), solver="similar_compute")
    with pytest.raises(InputError, match="'mine' is named after no shipped network"):
        splitopt.train(plan, rounds=1)
    run = splitopt.train(plan, model, rounds=2)
    assert run.scheme.model is run.model
    assert not same_bits(run.model, before)
    assert same_bits(model, before)


@pytest.mark.slow
def test_stopping_early(plan_of):
    """At the accuracy that is wanted; when it rises no more; tests only every few rounds."""
    plan = plan_of("digits-clusters")
    run = splitopt.train(plan, options=FAST, target_accuracy=0.3)
    assert run.stopped == "target"
    assert run.history.rows[-1].accuracy >= 0.3
    assert all(row.accuracy < 0.3 for row in run.history.rows[:-1])
    idle = splitopt.train(plan, options=Options(learning_rate=1e-9), rounds=9, patience=3)
    assert (idle.stopped, len(idle.history)) == ("patience", 4)
    seldom = splitopt.train(plan, rounds=5, evaluate_every=2)
    assert [row.accuracy is not None for row in seldom.history] == [False, True, False, True, True]


def test_a_loss_that_is_not_finite_names_round_and_client(plan_of):
    """The rounds before it are kept."""
    plan = plan_of("digits-splitfed")
    with pytest.raises(TrainingError, match=r"round 1: the loss of client fast-1 is nan") as caught:
        splitopt.train(plan, rounds=3, options=Options(learning_rate=1e30))
    assert len(caught.value.history) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rounds": 0}, "rounds: is 0"),
        ({"scheme": "vanilla"}, "choose one of splitfed_v1"),
        ({"seed": -1}, "seed: is -1, it must be a whole number"),
        ({"device": "tpu"}, "device: is 'tpu'"),
        ({"samples": "all"}, "samples: is 'all', it must be one of plan, data"),
        ({"options": Options(local_steps=3)}, "local_steps: is 3, the plan says None"),
        ({"target_accuracy": 2.0}, "target_accuracy: is 2.0, it must be above 0"),
        ({"resume": True}, "resume: needs the folder of a checkpoint"),
        ({"model": "vgg11"}, "too small for vgg11"),
        ({"model": "no-such"}, "no shipped model"),
        ({"data": ([[0.0] * 64] * 9, [0, 1, 11] * 3)}, "samples of 64 float32"),
        ({"match": "luck"}, "match: is 'luck', it must be one of structure"),
    ],
)
def test_wrong_arguments_are_refused(plan_of, arguments, words):
    """One sentence each, before anything is trained."""
    with pytest.raises(InputError, match=words):
        splitopt.train(plan_of("digits-splitfed"), **arguments)


def test_a_missing_gpu_is_a_lack_and_not_a_mistake(plan_of):
    """A GPU that is not there is named; ``auto`` takes what there is."""
    if not torch.cuda.is_available():
        with pytest.raises(CapabilityError, match="cuda"):
            splitopt.train(plan_of("digits-splitfed"), device="cuda")
    run = splitopt.train(plan_of("digits-clusters"), rounds=1, device="auto")
    assert len(run.history) == 1


@pytest.mark.slow
def test_too_few_outputs_or_samples(plan_of):
    """A model with fewer outputs than classes, a plan with more samples than the data."""
    plan = plan_of("digits-clusters")
    with pytest.raises(InputError, match="gives \\(4,\\) for a sample, but digits has 10 classes"):
        splitopt.train(plan, build("cnn", (1, 8, 8), 4), match="names")
    big = splitopt.Scenario.load("digits-splitfed").to_dict()
    big["devices"][0]["samples"] = 2000
    plan = splitopt.plan(splitopt.Scenario.from_dict(big))
    with pytest.raises(InputError, match="--samples data"):
        splitopt.train(plan)
    run = splitopt.train(plan, rounds=1, samples="data")
    sizes = [client.samples for client in run.scheme.clients]
    assert sizes[0] > 3 * sizes[-1]


def test_a_mini_batch_that_the_model_cannot_take(plan_of, make):
    """A rest of one sample and batch normalisation do not go together; seen before the start."""
    plan = plan_of("few-splitfed")  # 40 samples in batches of 16: the rest is 8
    model = nn.Sequential()
    model.add_module("flat", nn.Flatten())
    model.add_module("pool1", nn.Linear(64, 10))
    model.add_module("norm", nn.BatchNorm1d(10))
    assert len(splitopt.train(plan, model, match="names", rounds=1).history) == 1
    document = dict(plan.scenario)
    document["devices"] = [{**device, "samples": 33} for device in document["devices"]]
    odd = splitopt.plan(splitopt.Scenario.from_dict(document))
    with pytest.raises(
        InputError, match=r"client fast-1 has a mini-batch of 1, .*more than 1 value"
    ):
        splitopt.train(odd, model, match="names", rounds=1)


def test_a_model_that_fails_in_a_round_is_named_so(plan_of):
    """What the user's model raises is one sentence with the round, and its cause is kept."""

    class Moody(nn.Module):
        calls = 0

        def forward(self, x):
            Moody.calls += self.training  # preparing makes some passes, and rounds many more
            if Moody.calls > 40:
                raise RuntimeError("not today")
            return x

    model = nn.Sequential()
    for name, layer in (
        ("flat", nn.Flatten()),
        ("pool1", nn.Linear(64, 10)),
        ("moody", Moody()),
    ):
        model.add_module(name, layer)
    with pytest.raises(TrainingError, match=r"round \d+: the model .* not today") as caught:
        splitopt.train(plan_of("digits-clusters"), model, match="names", rounds=9)
    assert isinstance(caught.value.__cause__, RuntimeError)
