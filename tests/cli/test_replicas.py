"""Replicated stages on the command line: planned, replayed, shown, and refused elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from splitopt.cli.entry import run
from tests.replicated import scenario

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "replicas-vgg16.yaml")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Provide the plan of the example."""
    path = tmp_path_factory.mktemp("replicas") / "plan.json"
    assert run(["plan", EXAMPLE, "-o", str(path)]) == 0
    return path


def test_the_example_is_proved_with_a_page(planned, tmp_path, capsys):
    """The table has stage, layers, type, machines, seconds and memory of its limit."""
    page = tmp_path / "page.html"
    assert run(["report", str(planned), "-o", str(page)]) == 0
    assert "Which machines train what" in page.read_text()
    capsys.readouterr()
    assert run(["report", str(planned)]) == 0
    said = capsys.readouterr().out
    assert "Optimal by proof" in said
    assert "Stage  Layers" in said
    assert "15 GB" in said  # 16 GB less the reserve


def test_the_example_is_replayed(planned, capsys):
    """With the period that it reaches beside the promise."""
    assert run(["simulate", str(planned)]) == 0
    said = capsys.readouterr().out
    assert "Promised period: 0.036723 s" in said
    assert "Period that a full pipeline reaches" in said
    assert "a round, 32 micro-batches" in said


def test_what_is_about_a_fleet_refuses_it(capsys):
    """By the name of the section."""
    for command in (["compare", EXAMPLE], ["tradeoff", EXAMPLE], ["control", EXAMPLE]):
        assert run(command) == 2
        assert "has 'replication' and no fleet of devices" in capsys.readouterr().err


NETWORK = """
from torch import nn

def chain():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
"""


@pytest.mark.slow
@pytest.mark.train
def test_from_a_model_to_its_training(tmp_path, capsys):
    """Profile, plan, tables, difference and training, each from the file before; else refused."""
    (tmp_path / "network.py").write_text(NETWORK)
    model = f"{tmp_path / 'network.py'}:chain"
    profile, plan = str(tmp_path / "p.json"), str(tmp_path / "plan.json")
    assert run(["profile", model, "--input-shape", "4", "-o", profile]) == 0
    document = scenario(profile, micro_batches=4, max_replicas=2, use_all_machines=True)
    (tmp_path / "s.yaml").write_text(json.dumps(document))
    assert run(["plan", str(tmp_path / "s.yaml"), "-o", plan]) == 0
    assert run(["export", plan, "--to", "csv", "-o", str(tmp_path / "tables")]) == 0
    assert "stages.csv" in {path.name for path in (tmp_path / "tables").iterdir()}
    parts = tmp_path / "parts"
    assert run(["export", plan, "--to", "torch", "--model", model, "-o", str(parts)]) == 0
    assert {"parts.py", "replicas.json", "train_replicas.py"} <= {p.name for p in parts.iterdir()}
    assert run(["diff", plan, plan]) == 0
    capsys.readouterr()
    for refused in (
        ["validate", plan, "--model", model, "--data", "digits"],
        ["export", plan, "--to", "compose", "-o", str(tmp_path / "services")],
        ["export", plan, "--to", "torch-pipelining", "--model", model, "-o", str(tmp_path / "t")],
    ):
        assert run(refused) == 2
        said = capsys.readouterr().err
        assert "is a plan of replicated_pipeline" in said
        assert "'splitopt train' trains it in one process" in said
    data = tmp_path / "four.npz"
    x = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    np.savez(data, x=x, y=(x[:, 0] > 0).astype("int64"))
    train = ["train", plan, "--model", model, "--data", str(data), "--rounds", "2"]
    history = tmp_path / "rounds.csv"
    assert run([*train, "--csv", str(history), "--plot", str(tmp_path / "r.html")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "trained by replicas on four" in shown
    assert "Predicted time of these rounds" in shown
    assert len(history.read_text().splitlines()) == 3
    assert run([*train, "--wire"]) == 2
    assert "replicas, of this plan, is not run over connections" in capsys.readouterr().err
