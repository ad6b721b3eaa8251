"""Data, partition and task that a scenario states, for every way of training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.cli.entry import run as run_command  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.export import export_plan  # noqa: E402
from splitopt.iotsl import IotslJob  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402

pytestmark = pytest.mark.train
RNG = np.random.default_rng(0)


def planned(data, **changes):
    document = Scenario.load("digits-splitfed").to_dict() | {"data": data} | changes
    return splitopt.plan(Scenario.from_dict(document))


def test_what_is_given_counts_and_then_what_is_stated():
    """Each by itself; a dict of data by device is each device's own."""
    stated = {"source": "mnist", "partition": "blocks:2", "task": "multilabel"}
    plan = planned(stated)

    def of(**given):
        job = TrainingJob(plan, **given)
        return job.data, job.partition, job.task

    assert of() == ("mnist", "blocks:2", "multilabel")
    assert of(data="digits") == ("digits", "blocks:2", "multilabel")
    assert of(partition="iid", task="regression") == ("mnist", "iid", "regression")
    by_device = {"a": "a.npz"}
    assert of(data=by_device) == (by_device, "iid", "multilabel")
    bare = TrainingJob(splitopt.plan(Scenario.load("digits-splitfed")))
    assert (bare.data, bare.partition, bare.task) == ("digits", "iid", "classification")


@pytest.mark.slow
def test_training_needs_no_words(tmp_path, capsys, monkeypatch):
    """The command without flags learns what the flags learn, from the plan of a file."""
    monkeypatch.chdir(tmp_path)
    planned({"source": "digits", "partition": "dirichlet:0.3"}).save("stated.json")
    splitopt.plan(Scenario.load("digits-splitfed")).save("bare.json")
    rows = {}
    for name, flags in (
        ("stated", []),
        ("bare", ["--partition", "dirichlet:0.3"]),
        ("stated over", ["--partition", "iid"]),
        ("bare over", []),
    ):
        path = f"{name.split()[0]}.json"
        command = ["train", path, "--rounds", "1", "--csv", "r.csv", *flags]
        assert run_command(command) == 0
        rows[name] = Path("r.csv").read_text()
    capsys.readouterr()
    assert rows["stated"] == rows["bare"]
    assert rows["stated over"] == rows["bare over"] != rows["stated"]


def test_a_task_is_stated_by_its_name(tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    profile = tmp_path / "net.json"
    trace(network, torch.randn(2, 6), name="net", keep_all=True).profile.save(profile)
    x = RNG.normal(size=(60, 6)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=x.sum(axis=1))
    device = {"compute": "2 kFLOP/s", "samples": 12, "batch_size": 5}
    plan = planned(
        {"source": str(tmp_path / "d.npz"), "task": "regression"},
        model={"file": str(profile)},
        devices=[{"name": name, **device} for name in "abc"],
    )
    run = splitopt.train(plan, network, rounds=1)
    assert run.history.metric == "rmse"
    wrong = planned({"source": "digits", "task": "regresion"})
    with pytest.raises(InputError, match="regresion"):
        splitopt.train(wrong, rounds=1)
    with pytest.raises(InputError, match=r"absent\.npz"):
        splitopt.train(planned({"source": "absent.npz"}), rounds=1)


@pytest.mark.slow
def test_an_export_says_what_its_parts_are_trained_on(tmp_path):
    stated = {"source": "digits", "partition": "classes:3"}
    for to in ("torch", "torch-export"):
        export_plan(planned(stated), tmp_path / to, to=to)
        found = json.loads((tmp_path / to / "parts.json").read_text())
        assert found["training"]["data"] == stated
        assert (
            "train on `digits`, shared out by `classes:3`"
            in (tmp_path / to / "README.md").read_text()
        )


def test_iotsl_takes_it():
    document = Scenario.load("digits-iotsl").to_dict()
    stated = {"source": "mnist", "partition": "blocks:2"}
    scenario = Scenario.from_dict(document | {"data": stated})
    job = IotslJob(scenario)
    assert (job.data, job.partition) == ("mnist", "blocks:2")
    job = IotslJob(scenario, data="digits", partition="random")
    assert (job.data, job.partition) == ("digits", "random")
    plain = IotslJob(Scenario.from_dict(document))
    assert (plain.data, plain.partition) == ("digits", None)
    other = Scenario.from_dict(document | {"data": stated | {"task": "language"}})
    with pytest.raises(InputError, match=r"data\.task: is 'language', and IoTSL's generators"):
        IotslJob(other)


@pytest.mark.slow  # a process for each party
def test_validation_takes_it(tmp_path):
    plan = planned({"source": "digits", "partition": "dirichlet:0.3"})
    found = splitopt.validate(plan, rounds=1, steps=2, time_scale=1e-3, any_speed=True)
    assert found.traffic[0].measured == found.traffic[0].predicted
