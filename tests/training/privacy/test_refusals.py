"""What privacy cannot be had with, in a sentence that names it and what to take."""

from __future__ import annotations

import re

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import InputError, Scenario  # noqa: E402
from splitopt.profiles import trace  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.private import warn_of_memory  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.schemes import SplitFedV1  # noqa: E402

pytestmark = pytest.mark.train


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"clip_norm": 0.0}, "clip_norm: is 0.0, it must be above 0 and finite"),
        ({"clip_norm": float("inf")}, "clip_norm: is inf, it must be above 0"),
        ({"noise_multiplier": -1.0}, "noise_multiplier: is -1.0, it must be >= 0"),
        ({"noise_multiplier": None}, "noise_multiplier: and target_epsilon are alternatives"),
        ({"target_epsilon": 1.0}, "noise_multiplier: and target_epsilon are alternatives"),
        (
            {"noise_multiplier": None, "target_epsilon": 0.0},
            "target_epsilon: is 0.0, it must be above 0",
        ),
        ({"delta": 0.0}, "delta: is 0.0, it must be above 0 and below 1"),
        ({"delta": 1.0}, "delta: is 1.0, it must be above 0 and below 1"),
        ({"noise": "both"}, "noise: unknown|noise.*'both'"),
        ({"sampling": "none"}, "sampling"),
        ({"accountant": "gdp"}, "accountant"),
        ({"covers": "server"}, "covers"),
        ({"insecure_test_seed": -1}, "insecure_test_seed: is -1"),
    ],
)
def test_numbers_and_names(given, words):
    with pytest.raises(InputError, match=words):
        Privacy(**{"clip_norm": 1.0, "noise_multiplier": 1.0, **given})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"codec": "int8"}, "codec: is 'int8', whose scales let a sample change the gradients"),
        ({"gradient_codec": "topk:0.1"}, "gradient_codec: is 'topk:0.1', whose scales"),
        ({"batched": True}, "batched: does not go together with privacy"),
        ({"privacy": 3}, "privacy: is of type int, it must be Privacy"),
    ],
)
def test_options_beside_it(given, words):
    with pytest.raises(InputError, match=words):
        Options(**{"privacy": Privacy(1.0, 1.0), **given})
    assert Options(privacy=Privacy(1.0, 1.0), codec="fp16").has_codecs


class Centred(nn.Module):
    """Subtract the mean over the batch."""

    def forward(self, value):
        return value - value.mean(0)


class Counting(nn.Module):
    """Keep the mean of what it has seen."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, value):
        self.seen += value.detach().mean()
        return value * 1.0


def network(middle, late=None):
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        middle,
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(384, 12),
        late or nn.Tanh(),
        nn.Linear(12, 10),
    )


def train(model, tmp_path, cut=None, options=None, **given):
    trace(model, torch.zeros(2, 1, 8, 8), name="m", keep_all=True).profile.save(tmp_path / "m.json")
    document = Scenario.load("digits-splitfed").to_dict()
    document["model"] = {"file": str(tmp_path / "m.json")}
    if cut is not None:
        document["model"]["cuts"] = [cut]
    device = {"compute": "3 MFLOP/s", "batch_size": 10, "samples": 20}
    document["devices"] = [{"name": name, **device} for name in "ab"]
    plan = splitopt.plan(Scenario.from_dict(document))
    options = options or Options(privacy=Privacy(1.0, 1.0))
    return splitopt.train(plan, model, rounds=1, options=options, **given)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            network(nn.BatchNorm2d(6)),
            "privacy: the layer 1 is BatchNorm2d, which mixes the samples of a batch; take "
            "GroupNorm(6, 6) in its place, or --batch-norm frozen",
        ),
        (  # in the server's part: what comes back to one sample depends on all others
            network(nn.Identity(), nn.BatchNorm1d(12)),
            "privacy: the layer 5 is BatchNorm1d, which mixes the samples of a batch; take "
            "GroupNorm(12, 12)",
        ),
        (
            network(nn.InstanceNorm2d(6, track_running_stats=True)),
            "the layer 1 is InstanceNorm2d, which keeps statistics of the samples of a batch; "
            "take InstanceNorm2d without track_running_stats",
        ),
        (network(Centred()), "the layer 1 (Centred) mixes the samples of a batch; take one"),
        (
            network(nn.Identity(), Centred()),
            "the layer 5 (Centred) mixes the samples of a batch",
        ),
        (network(Counting()), "forward writes the buffer 1.seen from the samples"),
    ],
)
def test_layers(tmp_path, model, words):
    with pytest.raises(InputError, match=re.escape(words)):
        train(model, tmp_path, scheme="federated" if "buffer" in words else None)


@pytest.mark.one_quick
@pytest.mark.parametrize("middle", [nn.InstanceNorm2d(6), nn.GroupNorm(2, 6), nn.Dropout(0.5)])
def test_layers_that_keep_samples_apart(tmp_path, middle):
    assert train(network(middle), tmp_path).history.rows[0].epsilon["a"] > 0


def test_frozen_statistics_mix_nothing(tmp_path):
    options = Options(privacy=Privacy(1.0, 1.0), batch_norm="frozen")
    assert train(network(nn.BatchNorm2d(6)), tmp_path, options=options).history


@pytest.mark.slow
def test_nothing_to_cover(tmp_path):
    """A scheme without devices, but for all of the model."""
    with pytest.raises(InputError, match="privacy: covers no parameter"):
        train(network(nn.Identity()), tmp_path, scheme="centralized")
    both = Options(privacy=Privacy(1.0, 1.0, covers="model"))
    found = train(network(nn.Identity()), tmp_path, scheme="centralized", options=both)
    assert list(found.history.rows[0].epsilon) == ["all"]


def test_schemes_of_others(tmp_path):
    class Mine(SplitFedV1):
        name = "mine"

    with pytest.raises(InputError, match="privacy: is for splitopt's own schemes, and mine may"):
        train(network(nn.Identity()), tmp_path, scheme=Mine)


def test_a_scheme_of_clients_without_guards(make):
    """It would train without any privacy."""
    with pytest.raises(InputError, match="privacy: needs clients with a guard"):
        SplitFedV1(make.cnn(), make.clients((10,)), Options(privacy=Privacy(1.0, 1.0)), make.split)


def test_a_whole_cluster(plan_of):
    """Its server trains on samples of several devices at once."""
    whole = Options(privacy=Privacy(1.0, 1.0, covers="model"))
    with pytest.raises(InputError, match="covers: is 'model', but the server trains on the"):
        splitopt.train(plan_of("digits-clusters"), rounds=1, options=whole)


def test_a_large_delta_is_warned_of(tmp_path, caplog):
    train(network(nn.Identity()), tmp_path, options=Options(privacy=Privacy(1.0, 1.0, delta=0.05)))
    assert "delta 0.05 is not below 1/20, one over the samples of a" in caplog.text


@pytest.mark.parametrize(
    ("planned", "covers", "named"),
    [
        (False, "client", ["fast-1, slow"]),
        (False, "model", ["gateway", "fast-1, slow"]),
        (True, "client", []),
        (True, "model", ["gateway"]),
        ("model", "model", []),
    ],
)
def test_memory_that_was_planned_without_single_gradients_is_warned_of(
    caplog, planned, covers, named
):
    """Whose memory it is: of devices always, of the server where its part is covered."""
    scenario = {
        "privacy": {"per_sample_gradients": planned},
        "devices": [{"name": name, "memory": 1e6} for name in ("fast-1", "slow")],
        "servers": [{"name": "gateway", "memory": 1e9}, {"name": "other"}],
    }
    warn_of_memory(scenario, Options(privacy=Privacy(1.0, 1.0, covers=covers)))
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(" of ")[1].split(" without")[0] for text in said] == named
    caplog.clear()
    warn_of_memory(scenario, Options())
    assert not caplog.records
