"""A model attacked as a user has it: resumed, shown, put into a profile and planned with."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from splitopt.cli.entry import run  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.privacy import leakage_table  # noqa: E402
from splitopt.privacy.leakage import measuring  # noqa: E402
from splitopt.privacy.leakage.measured import measured  # noqa: E402
from splitopt.privacy.leakage.settings import LeakageSettings  # noqa: E402
from splitopt.profiles import ModelProfile  # noqa: E402

pytestmark = pytest.mark.train
FEW = LeakageSettings(samples=3, batch=2, steps=2, inferences=32)
QUICK = ["--samples", "2", "--steps", "1", "--inferences", "16", "--attacks", "feature_inversion"]


def _data(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random((60, 1, 6, 6)).astype(np.float32)
    return x, (np.arange(60) % 3).astype(np.int64)


def _net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Flatten(),
            nn.Dropout(0.5), nn.Linear(32, 8), nn.Tanh(), nn.Linear(8, 3),
        )  # fmt: skip


@pytest.mark.slow
def test_every_attack_has_rows_at_every_cut_and_the_model_is_left_alone():
    net = _net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    table = leakage_table(net, _data(), settings=FEW)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    kinds = {(row.attack, row.view) for row in table.rows}
    views = [(a, v) for a in ("gradient_matching", "feature_inversion") for v in ("white", "black")]
    others = ["distance_correlation", "label_inference", "membership_inference"]
    assert kinds == {*views, *((name, "any") for name in others)}
    for cut in range(1, len(table.layers)):
        assert {(r.attack, r.view) for r in table.rows if r.cut == cut} == kinds
    assert len(table.column()) == len(table.layers)
    assert {row.value.count for row in table.rows if row.attack == "gradient_matching"} == {3}


def test_the_mean_image_is_the_baseline_that_it_says():
    found = measured(_net(), _data(), [1], FEW)
    data = leakage_table(_net(), _data(), [1], settings=FEW)
    assert found.table.to_dict() == data.to_dict()  # the same seed, the same bits
    from splitopt.training.data import load_data

    train = load_data(_data(), seed=0).train_inputs
    mean = train.double().mean(dim=0).numpy().ravel()
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:3]
    cosines = [
        float(own @ mean / np.linalg.norm(own) / np.linalg.norm(mean))
        for own in train[order].double().numpy().reshape(3, -1)
    ]
    assert data.baselines["mean_image"]["cosine"].mean == pytest.approx(np.mean(cosines), rel=1e-6)
    assert abs(data.baselines["constant"]["centred_cosine"].mean) < 1e-6


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    whole = leakage_table(_net(), _data(), [1, 2], settings=FEW)

    def stop(done, count, what):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leakage_table(_net(), _data(), [1, 2], settings=FEW, cache=tmp_path / "c", progress=stop)
    kept = sorted((tmp_path / "c").iterdir())
    assert len(kept) == 5
    kept[0].write_text("{")  # a damaged file counts as absent
    carried, real = [], measuring.Attacker._carried_out
    monkeypatch.setattr(
        measuring.Attacker,
        "_carried_out",
        lambda self, attack: carried.append(attack) or real(self, attack),
    )
    shown = []
    again = leakage_table(
        _net(), _data(), [1, 2], settings=FEW, cache=tmp_path / "c",
        progress=lambda done, count, what: shown.append(count),
    )  # fmt: skip
    assert again.to_dict() == whole.to_dict()
    assert len(carried) == len(shown) - 4
    carried.clear()
    changed = _net()
    with torch.no_grad():
        changed[0].weight[0, 0, 0, 0] += 1e-3  # other weights have other results
    leakage_table(changed, _data(), [1, 2], settings=FEW, cache=tmp_path / "c")
    assert len(carried) == len(shown)


@pytest.mark.slow
def test_results_are_those_of_what_a_model_does_and_not_of_its_weights_alone(tmp_path):
    """Another activation has the same weights and names."""
    other = _net()
    other[6] = nn.Sigmoid()
    kept = {"settings": FEW, "cache": tmp_path}
    one = leakage_table(_net(), _data(), [1], **kept)
    assert leakage_table(other, _data(), [1], settings=FEW).rows != one.rows
    again = leakage_table(other, _data(), [1], **kept)
    assert again.rows == leakage_table(other, _data(), [1], settings=FEW).rows


@pytest.mark.slow
def test_the_table_says_what_was_done_and_with_which_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Linear(8, 3))\n"
    )
    few = LeakageSettings(samples=2, steps=1, attacks=("feature_inversion",))
    table = leakage_table("mine.py:net", _data(), settings=few)
    assert table.weights == "weights as given"  # a factory may load any
    assert table.settings["inferences"] == 12  # as many as there are to test with
    assert leakage_table("cnn", settings=few).weights == "untrained weights"
    rng = np.random.default_rng(0)
    data = rng.random((30, 36)).astype(np.float32), rng.random((30, 3))
    labels = LeakageSettings(attacks=("label_inference",))
    with pytest.raises(InputError, match="label_inference needs a label"):
        leakage_table("mine.py:net", data, settings=labels, task="regression")


@pytest.mark.parametrize(
    ("data", "cuts", "settings", "words"),
    [
        ((np.zeros((40, 5), dtype=np.int64), np.arange(40) % 3), None, FEW, "whole numbers"),
        ((np.zeros((40, 1, 6, 6)), np.arange(40) % 3), None, FEW, "one value only"),
        (_data(), [99], FEW, "99 is none of"),
        (_data(), ["conv9"], FEW, "is none of"),
        (_data(), [1], LeakageSettings(samples=1000), "has 48 training samples"),
    ],
)
def test_what_cannot_be_attacked_is_refused(data, cuts, settings, words):
    with pytest.raises(InputError, match=words):
        leakage_table(_net(), data, cuts, settings=settings)


def test_gradients_of_a_part_without_parameters_are_none_to_match():
    net = nn.Sequential(nn.Conv2d(1, 3, 6), nn.Flatten(), nn.Tanh())
    with pytest.raises(InputError, match="needs trained parameters behind the cut"):
        leakage_table(net, _data(), settings=FEW)


@pytest.mark.slow
def test_from_the_shell_to_a_plan_that_says_what_its_limit_rests_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [
        "leakage",
        "cnn",
        *QUICK,
        "-o",
        "t.json",
        "--into",
        "cnn.json",
        "--report",
        "r.html",
    ]
    assert run(arguments) == 0
    assert "feature inversion" in capsys.readouterr().out
    page = (tmp_path / "r.html").read_text()
    assert "Reconstructions" in page
    assert page.count("<svg") == 2
    profile = ModelProfile.load("cnn.json")
    assert profile.state_of("leakage") == "measured"
    limit = float(profile.leakage[1]) + 1e-9  # the first cut that it admits leaks no more
    (tmp_path / "s.yaml").write_text(
        f"""
format: splitopt-scenario
version: 1
name: home
model: {{file: cnn.json}}
devices: [{{name: phone, compute: 1 GFLOP/s, samples: 32}}]
servers: [{{name: server, compute: 100 GFLOP/s}}]
links: {{uplink: 10 Mbit/s, downlink: 10 Mbit/s}}
privacy: {{leakage_limit: {limit}}}
"""
    )
    assert run(["plan", "s.yaml", "-o", "plan.json"]) == 0
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert any("the leakage of cnn is measured: mean cosine" in note for note in plan["notes"])
    assert run(["leakage", "t.json", "--into", "cnn.json", "--upper"]) == 0
    assert np.all(ModelProfile.load("cnn.json").leakage >= profile.leakage)


@pytest.mark.slow
def test_into_a_profile_that_has_all_cuts(tmp_path, monkeypatch):
    """Its cuts are those that are attacked, also where another one beats them."""
    monkeypatch.chdir(tmp_path)
    shape = ["--input-shape", "1,8,8", "--classes", "10"]
    assert run(["profile", "cnn", *shape, "--all", "-o", "all.json"]) == 0
    before = ModelProfile.load("all.json")
    assert before.layers == ("conv1", "pool1", "conv2", "pool2", "fc1", "fc2")
    assert run(["leakage", "cnn", *QUICK, "--into", "all.json"]) == 0
    after = ModelProfile.load("all.json")
    assert after.layers == before.layers
    assert after.state_of("leakage") == "measured"
    assert np.all(np.diff(after.leakage) <= 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["t.json"], "no such file"),
        (["cnn", "--attacks", "guess"], "attacks"),
        (["cnn", "--upper"], "--upper: says what goes into a profile"),
        (["t.json", "--epochs", "3"], "--epochs: is for attacks"),
        (["t.json", "--cuts", "1"], "--cuts: is for attacks"),
        (["cnn", "--views", "grey"], "views"),
        (["cnn", "--samples", "1"], "samples"),
        (["cnn", "--into", "other.json", *QUICK], "measure the profile's own model"),
        (["cnn", "--data", "nothing", *QUICK], "data"),
        (["cnn", "--cache", "file", *QUICK], "is not a folder"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, monkeypatch, capsys, arguments, words):
    from splitopt.profiles import load_profile

    monkeypatch.chdir(tmp_path)
    load_profile("vgg19-cifar").save("other.json")
    (tmp_path / "file").write_text("")
    assert run(["leakage", *arguments]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") <= 4
