"""Models, data and plans that fit each other, and the sentences about those that do not."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import InputError, Scenario  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.fitting import Sample, traced_sample  # noqa: E402

pytestmark = pytest.mark.train


class Tokens(nn.Module):
    """Classifies sequences of 5 tokens, and states its own stages."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Embedding(20, 6), nn.Linear(6, 3)

    def split_stages(self):
        return [self.first, self.middle, self.last]

    def middle(self, value):
        return value.mean(dim=1)

    def forward(self, value):
        return self.last(self.middle(self.first(value)))


def dense(kind=torch.float32, classes=3):
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, classes)).to(kind)


@pytest.fixture(scope="module")
def plan_for(tmp_path_factory):
    """Return the plan of a model: two devices and a server."""
    folder = tmp_path_factory.mktemp("plans")

    def make(model, example):
        profile = folder / "net.json"
        trace(model, example, name="net", keep_all=True).profile.save(profile)
        device = {"compute": "2 kFLOP/s", "samples": 20, "batch_size": 10}
        document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": str(profile)}}
        document["devices"] = [{"name": "a", **device}, {"name": "b", **device}]
        return splitopt.plan(Scenario.from_dict(document))

    return make


@pytest.fixture
def numbers():
    """Return samples of four numbers in three classes that a line tells apart."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    return rng.normal(size=(90, 4)) + 3 * np.eye(4)[y], y


def test_token_ids_are_trained_with(plan_for):
    """Whole numbers go into the first layer, and nobody asks for their gradient."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.integers(0, 6, (90, 5)) + 6 * y[:, None]
    torch.manual_seed(0)
    model = Tokens()
    plan = plan_for(model, torch.from_numpy(x[:2]))
    run = splitopt.train(plan, model, (x, y), rounds=12, options=Options(learning_rate=0.5))
    assert run.history.best.accuracy > 0.9


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_models_get_data_of_their_type(plan_for, numbers, kind):
    """Smashed data are of 8 or 2 B a number, as the profile counts them."""
    model = dense(kind)
    plan = plan_for(model, torch.zeros(2, 4, dtype=kind))
    run = splitopt.train(plan, model, numbers, rounds=3, options=Options(learning_rate=0.2))
    assert {value.dtype for value in run.model.state_dict().values()} == {kind}
    (row, *_), profile = run.history, splitopt.profiles.ModelProfile.from_dict(plan.profile, "x")
    cuts = [client.cuts for client in splitopt.training.program.program_of(plan).clients]
    sent = [20 * profile.smashed_bytes[profile.layers.index(cut)] for own in cuts for cut in own]
    assert row.traffic_bytes["smashed"] == sum(sent)
    whole = 4 * 6 + 6 + 6 * 3 + 3
    assert profile.device_model_bytes[-1] == kind.itemsize * whole


def test_an_export_has_the_same_rule(plan_for, tmp_path):
    """The type is the reason, and the names of layers are a way out there too."""
    plan = plan_for(dense(), torch.zeros(2, 4))
    with pytest.raises(InputError, match=r"is of float64, .* in another type, .*--match names"):
        splitopt.export_plan(plan, tmp_path / "one", model=dense(torch.float64))
    splitopt.export_plan(plan, tmp_path / "two", model=dense(torch.float64), match="names")
    assert (tmp_path / "two").is_dir()


def test_a_model_of_another_type_can_be_cut_by_names(plan_for, numbers):
    """The way out that the refusal names: its own bytes are counted, 8 instead of 4 a number."""
    plan = plan_for(dense(), torch.zeros(2, 4))
    found = [
        splitopt.train(plan, dense(kind), numbers, rounds=1, match=by).history.rows[0]
        for kind, by in ((torch.float32, "structure"), (torch.float64, "names"))
    ]
    one, two = (row.traffic_bytes for row in found)
    for name in ("smashed", "gradient", "model_down", "model_up"):
        assert two[name] == 2 * one[name]


def test_what_does_not_fit_is_named(plan_for, numbers):
    """Data of another shape or type, classes, outputs, and objects of another kind."""
    x, y = numbers
    model = dense()
    plan = plan_for(model, torch.zeros(2, 4))
    for given, words in (
        ({"data": (x[:, :3], y)}, "samples of 3 float32, and .* was traced with 4 float32"),
        ({"data": (x.astype(int), y)}, "samples of 4 int64, .*; convert the inputs to float32"),
        ({"data": (x, y, x.astype(int), y)}, "training inputs are float32 and test inputs int64"),
        ({"data": (x, y + 2)}, r"gives \(3,\) for a sample, but data has 5 classes"),
        ({"data": (x, x)}, "other targets are of another task, such as regression"),
        ({"data": (x, y / 2)}, "not a whole number"),
        ({"data": (x, y - 1)}, "data, y: a label is below 0"),
        ({"data": (np.where(x == x[70, 2], np.nan, x), y)}, "data: sample 70 holds a value"),
        ({"data": ""}, "data: '' is neither digits"),
        ({"model": dense(torch.float16)}, r"is of float16, .* in another type, .*profile this"),
        ({"model": dense(torch.float64)}, r"is of float64, .* in another type, .*--match names"),
        ({"model": nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))}, "fingerprint"),
        ({"model": nn.Linear}, "must be a module"),
        ({"plan": "plan.json"}, "plan.json: there is no such file"),
        ({"plan": 3}, "it must be a Plan, the path of its file or its plain data"),
        ({"options": {"learning_rate": 1}}, "must be Options"),
    ):
        with pytest.raises(InputError, match=words):
            splitopt.train(**{"plan": plan, "model": model, "data": numbers, "rounds": 1} | given)


def test_a_network_that_was_built_for_the_data_says_so(plan_of):
    """The classes of the data, and not the network, are others than in the plan."""
    rng = np.random.default_rng(0)
    data = rng.random((2000, 1, 8, 8)), np.arange(2000) % 5
    with pytest.raises(InputError, match="was built for the 5 classes of data"):
        splitopt.train(plan_of("digits-splitfed"), data=data)


def test_what_a_profile_was_traced_with_is_read(plan_of):
    """Shape and type stand in the profile's source; a published one has none."""
    profile = splitopt.training.program.program_of(plan_of("digits-splitfed")).profile
    assert traced_sample(profile) == Sample((1, 8, 8), torch.float32)
    published = splitopt.profiles.load_profile("dp-mora-resnet18")
    assert traced_sample(published) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"momentum": 1.0}, "momentum: is 1.0"),
        ({"momentum": float("nan")}, "momentum: is nan"),
        ({"momentum": 0.9, "optimizer": "adam"}, "adam has moments of its own"),
        ({"weight_decay": float("inf")}, "weight_decay: is inf"),
        ({"server_learning_rate": 0.0}, "server_learning_rate: is 0.0"),
        ({"learning_rate": float("inf")}, "learning_rate: is inf"),
    ],
)
def test_optimizers_that_make_no_sense_are_refused(fields, words):
    """No setting is ignored, or taken for another one."""
    with pytest.raises(InputError, match=words):
        Options(**fields)
