"""Tasks are trained: split as whole, to the bit, on the wire too; wrong targets are named."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.cli.entry import run as run_command  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.history import History  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.tasks import TASKS  # noqa: E402
from splitopt.training.tasks.targets import IGNORED  # noqa: E402

pytestmark = pytest.mark.train
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6)).astype(np.float32)
MAPS = RNG.normal(size=(60, 2, 6, 6)).astype(np.float32)
TOKENS = RNG.integers(0, 9, (60, 8))
PADDED = np.where(RNG.random((60, 7)) < 0.2, IGNORED, TOKENS[:, 1:])
CASES = {
    "regression": ([nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1)], X, X @ np.arange(6.0)),
    "multilabel": ([nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3)], X, (X[:, :3] > 0).astype(int)),
    "segmentation": (
        [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1)],
        MAPS,
        (MAPS[:, 0] > 0).astype(int) + (MAPS[:, 1] > 0),
    ),
    "language": (
        [nn.Embedding(9, 8), nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 9)],
        TOKENS[:, :-1],
        PADDED,
    ),
}


def model_of(name):
    """Return a fresh copy of the network of a case, with the same weights each time."""
    torch.manual_seed(0)
    layers = CASES[name][0]
    for layer in layers:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    return nn.Sequential(*layers)


@pytest.fixture(scope="module")
def plan_for(tmp_path_factory):
    """Return the plan of a case: three devices and a server."""
    folder, made = tmp_path_factory.mktemp("plans"), {}

    def make(name):
        if name not in made:
            profile = folder / f"{name}.json"
            example = torch.as_tensor(CASES[name][1][:2])
            trace(model_of(name), example, name="net", keep_all=True).profile.save(profile)
            device = {"compute": "2 kFLOP/s", "samples": 13, "batch_size": 5}
            document = Scenario.load("digits-splitfed").to_dict() | {
                "model": {"file": str(profile)}
            }
            document["devices"] = [{"name": k, **device} for k in "abc"]
            made[name] = splitopt.plan(Scenario.from_dict(document))
        return made[name]

    return make


@pytest.mark.one_quick
@pytest.mark.parametrize("name", CASES)
def test_split_learns_what_the_whole_learns(plan_for, name):
    """FedAvg of whole copies has the same weights, losses and metrics, bit by bit."""
    _, x, y = CASES[name]
    options = Options(learning_rate=0.1, momentum=0.9)
    given = {"data": (x, y), "task": name, "rounds": 2, "options": options}
    split = splitopt.train(plan_for(name), model_of(name), **given)
    whole = splitopt.train(plan_for(name), model_of(name), scheme="federated", **given)
    for key, value in split.model.state_dict().items():
        assert torch.equal(value, whole.model.state_dict()[key]), key
    for one, other in zip(split.history, whole.history, strict=True):
        assert (one.loss, one.test_loss, one.metrics) == (
            other.loss,
            other.test_loss,
            other.metrics,
        )
    last = split.history.rows[-1]
    assert set(last.metrics) == set(TASKS[name].metrics)
    label = 4 if name in ("regression", "multilabel") else 8
    samples = 13 * 3 * split.scheme.options.local_epochs
    own = np.asarray(y[0]).size
    assert last.traffic_bytes["label"] == samples * own * label
    assert History.from_dict(json.loads(json.dumps(split.history.to_dict()))) == split.history
    assert split.history.metric == TASKS[name].leading


def test_a_gradient_step_is_that_of_plain_pytorch(plan_for):
    """One client, one batch, regression: the step of torch.optim on the whole model."""
    x, y = X[:20].astype(np.float64), (X[:20] @ np.arange(6.0)).astype(np.float64)
    document = plan_for("regression").scenario | {
        "devices": [{"name": "a", "compute": "2 kFLOP/s", "samples": 20}]
    }
    model = model_of("regression")
    plan, options = splitopt.plan(Scenario.from_dict(document)), Options(learning_rate=0.05)
    data = (x, y, x, y)
    run = splitopt.train(plan, model, data, task="regression", rounds=1, options=options)
    own = model_of("regression")
    optimizer = torch.optim.SGD(own.parameters(), lr=0.05)
    for _ in range(run.scheme.options.local_epochs):
        optimizer.zero_grad()
        wanted = torch.tensor(y, dtype=torch.float32)
        ((own(torch.tensor(x, dtype=torch.float32))[:, 0] - wanted) ** 2).mean().backward()
        optimizer.step()
    for one, other in zip(run.model.parameters(), own.parameters(), strict=True):
        assert one.detach().numpy() == pytest.approx(other.detach().numpy(), abs=1e-5)


def test_the_best_test_of_a_metric_that_falls(plan_for):
    """Stops at a target, after patience, and when the callback says so."""
    _, x, y = CASES["regression"]
    plan = plan_for("regression")
    run = splitopt.train(plan, model_of("regression"), (x, y), task="regression", rounds=9)
    values = [row.metrics["rmse"] for row in run.history]
    assert run.history.best.metrics["rmse"] == min(values)
    aim = sorted(values)[4]
    stopped = splitopt.train(
        plan, model_of("regression"), (x, y), task="regression", rounds=9, target=("rmse", aim)
    )
    first = next(k for k, value in enumerate(values) if value <= aim)
    assert (stopped.stopped, len(stopped.history)) == ("target", first + 1)
    told = splitopt.train(
        plan, model_of("regression"), (x, y), task="regression", rounds=9,
        callback=lambda row, _: row.round == 3,
    )  # fmt: skip
    assert (told.stopped, len(told.history)) == ("callback", 3)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("regression", {"task": "classification"}, "not a whole number"),
        ("regression", {"data": (X, X)}, r"gives \(1,\) for a sample, .* shape \(6,\)"),
        ("regression", {"data": (X, np.full(60, np.nan))}, "not finite; remove or fill it"),
        ("multilabel", {"data": (X, X[:, :3])}, "a mark of each class is needed"),
        ("segmentation", {"data": (MAPS, TOKENS)}, "a map of labels for each sample is needed"),
        (
            "segmentation",
            {"data": (MAPS, CASES["segmentation"][2] - 1)},
            "is -1, outside the classes",
        ),
        ("language", {"data": (TOKENS[:, :-1], TOKENS[:, 2:])}, r"at each place, shape \(6, 9\)"),
        ("regression", {"partition": "classes:2"}, "'classes:2' shares out by them"),
        ("regression", {"target": ("rmsee", 1.0)}, "of regression are rmse, mae, r2; did you mean"),
        ("regression", {"target_accuracy": 0.5}, "'accuracy', but the metrics of regression are"),
        ("regression", {"target": 3}, "it must be a metric and its value"),
        (
            "regression",
            {"data": "digits"},
            "digits has a label for each sample, and the task needs",
        ),
    ],
)
def test_what_does_not_fit_the_task_is_named(plan_for, name, change, words):
    _, x, y = CASES[name]
    given = {"data": (x, y), "task": name, "rounds": 1} | change
    with pytest.raises(InputError, match=words):
        splitopt.train(plan_for(name), model_of(name), **given)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("return outputs - targets[:, None]", r"gives shape \(2, 1\) and no scalar"),
        ("raise ValueError('no')", "cannot be called .*no"),
        ("return 3.0", "gives float and no scalar"),
    ],
)
def test_a_loss_that_is_none(plan_for, tmp_path, loss, words):
    file = tmp_path / "own.py"
    file.write_text(f"def own(outputs, targets):\n    {loss}\n")
    _, x, y = CASES["regression"]
    with pytest.raises(InputError, match=words):
        splitopt.train(plan_for("regression"), model_of("regression"), (x, y), task=f"{file}:own")


MODEL = """
import torch
from torch import nn
def net():
    return nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))
def own(outputs, targets):
    return (outputs[:, 0] - targets).abs().mean()
"""


@pytest.mark.slow
def test_the_command_line(tmp_path, capsys, monkeypatch):
    """Profile, plan and train a regression from files; the page has its metric."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(MODEL)
    np.savez(tmp_path / "d.npz", x=X, y=X @ np.arange(6.0))
    assert run_command(["profile", "net.py:net", "--input-shape", "6", "-o", "net.json"]) == 0
    device = {"compute": "2 kFLOP/s", "samples": 13, "batch_size": 5}
    document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": "net.json"}}
    document["devices"] = [{"name": k, **device} for k in "ab"]
    Scenario.from_dict(document).save("s.yaml")
    assert run_command(["plan", "s.yaml", "-o", "p.json"]) == 0
    capsys.readouterr()
    train = ["train", "p.json", "--model", "net.py:net", "--data", "d.npz", "--rounds", "2"]
    assert run_command([*train, "--task", "regression", "--plot", "r.html", "--csv", "r.csv"]) == 0
    printed = capsys.readouterr().out
    assert "best test rmse" in printed
    assert "Rmse" in printed
    assert "test rmse" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "r.csv").read_text().splitlines()[0].endswith("rmse,mae,r2")
    assert run_command([*train, "--task", "net.py:own"]) == 0
    assert "best test loss" in capsys.readouterr().out
    assert run_command([*train, "--task", "regression", "--target", "rmse"]) == 2
    assert "write METRIC=X" in capsys.readouterr().err


@pytest.mark.slow
def test_over_connections(plan_for, tmp_path):
    """A process for each party learns what one process learns.

    Numbers, and a loss of one's own whose targets are whole numbers, below 0 as well.
    """
    from splitopt.training.wire.launch import run_wire

    (tmp_path / "net.py").write_text(MODEL)
    _, x, y = CASES["regression"]
    for task, targets in (("regression", y), (f"{tmp_path}/net.py:own", np.round(y).astype(int))):
        data = (x, targets)
        given = {"model": f"{tmp_path}/net.py:net", "data": data, "task": task, "rounds": 2}
        alone = splitopt.train(plan_for("regression"), **given)
        wired = run_wire(plan_for("regression"), **given, time_scale=1e-3, any_speed=True)
        for one, other in itertools.zip_longest(alone.model.parameters(), wired.model.parameters()):
            assert torch.equal(one, other)
