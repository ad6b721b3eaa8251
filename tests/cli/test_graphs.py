"""Models with branches on the command line: traced, planned, replayed, and refused elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from splitopt import GraphPartition
from splitopt.cli.entry import run
from tests.accelerated import scenario
from tests.planning.test_graph_partition import drawn

ROOT = Path(__file__).parents[2]
EXAMPLE = str(ROOT / "examples" / "graph-inception.yaml")
NETWORK = """
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(8, 2)
    def forward(self, x):
        return self.c(torch.cat([torch.relu(self.a(x)), self.b(x)], 1))

class Deciding(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 2)
    def forward(self, x):
        y = self.a(x)
        return y if y.sum() > 0 else -y

torch.fx.wrap("decided")

def decided(y):
    return y if y.sum() > 0 else -y

class Wrapped(Deciding):
    def forward(self, x):
        return decided(self.a(x)) + torch.tanh(x[:, :2])
"""


@pytest.fixture
def network(tmp_path):
    """Provide a file of models."""
    path = tmp_path / "network.py"
    path.write_text(NETWORK)
    return path


@pytest.mark.slow
@pytest.mark.train
def test_from_a_model_to_a_page(network, tmp_path, capsys):
    """Profile, plan, page, replay, tables and difference, each from the file before."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    profile, plan, page = (str(tmp_path / name) for name in ("p.json", "plan.json", "plan.html"))
    traced = ["profile", f"{network}:Two", "--input-shape", "4", "--boundaries", "graph"]
    assert run([*traced, "-o", profile]) == 0
    document = scenario("p.json", cpu={"compute": "1 MFLOPS"}, memory="1 MB")
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(document))
    given = str(tmp_path / "s.yaml")
    assert run(["plan", given, "-o", plan, "--report", page]) == 0
    assert "Optimal by proof" in capsys.readouterr().out
    assert "Which machine runs what" in Path(page).read_text()
    assert run(["plan", given, "--boundaries", "graph", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problem"] == "graph_partition"
    assert run(["simulate", plan, "-o", str(tmp_path / "t.json")]) == 0
    assert run(["report", plan]) == 0
    assert run(["export", plan, "--to", "csv", "-o", str(tmp_path / "tables")]) == 0
    assert "machines.csv" in {path.name for path in (tmp_path / "tables").iterdir()}
    assert run(["diff", plan, plan]) == 0
    capsys.readouterr()
    for refused in (
        ["validate", plan, "--model", f"{network}:Two", "--data", "digits"],
        ["export", plan, "--to", "compose", "-o", str(tmp_path / "services")],
    ):
        assert run(refused) == 2
        said = capsys.readouterr().err
        assert "is a plan of graph_partition" in said
        assert "'splitopt train' trains it in one process" in said
    data = tmp_path / "four.npz"
    x = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    np.savez(data, x=x, y=(x[:, 0] > 0).astype("int64"))
    train = ["train", plan, "--model", f"{network}:Two", "--data", str(data), "--rounds", "2"]
    history = tmp_path / "rounds.csv"
    assert run([*train, "--csv", str(history), "--plot", str(tmp_path / "r.html")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "trained by graph on four" in shown
    assert "Predicted time of these rounds" in shown
    assert len(history.read_text().splitlines()) == 3
    assert run([*train, "--wire"]) == 2
    assert "graph, of this plan, is not run over connections" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.train
def test_what_cannot_be_traced_is_told(network, capsys):
    """A branch by numbers, and options of cuts; a function that is named is called as a whole."""
    pytest.importorskip("torch", reason="needs the extra 'train'")

    def profile(name, *further):
        arguments = ["profile", f"{network}:{name}", "--input-shape", "4", "--boundaries", "graph"]
        return run([*arguments, *further])

    assert profile("Deciding") == 2
    said = capsys.readouterr().err
    assert "the graph of the model cannot be traced" in said
    assert "torch.fx.wrap" in said
    assert profile("Wrapped", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["layers"]) > 2
    for option, name in (
        (["--stages", "a"], "stages"),
        (["--most-tensors", "2"], "most_tensors"),
        (["--tied", "copies"], "tied"),
        (["--all"], "keep_all"),
    ):
        assert profile("Two", *option) == 2
        assert f"{name}: is for cuts of a chain" in capsys.readouterr().err
    assert profile("Two", "--method", "sequential") == 2
    assert "method: is 'sequential'" in capsys.readouterr().err
    assert run(["profile", f"{network}:Two", "--input-shape", "4", "--boundaries", "tree"]) == 2
    assert "boundaries: is 'tree'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_example_is_planned_to_a_proof(tmp_path, capsys):
    """Inception-v3 on four machines: the simulated pace is the period of the plan."""
    plan = tmp_path / "plan.json"
    assert run(["plan", EXAMPLE, "-o", str(plan), "--report", str(tmp_path / "page.html")]) == 0
    assert "Optimal by proof" in capsys.readouterr().out
    assert run(["simulate", str(plan)]) == 0
    shown = capsys.readouterr().out
    period = json.loads(plan.read_text())["prediction"]["period_s"]
    assert f"Simulated pace: {period:.5g} s" in " ".join(shown.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", EXAMPLE],
        ["tradeoff", EXAMPLE],
        ["control", EXAMPLE],
        pytest.param(["calibrate", EXAMPLE, "--target", "0.5"], marks=pytest.mark.train),
        ["plan", EXAMPLE, "--problem", "cut_and_resources"],
        ["plan", EXAMPLE, "--scheme", "vanilla"],
    ],
    ids=lambda arguments: arguments[-1] if arguments[0] == "plan" else arguments[0],
)
def test_what_needs_a_fleet_refuses_the_scenario(arguments, capsys):
    """One sentence, exit code 2."""
    assert run(arguments) == 2
    assert "has 'accelerators' and no fleet of devices" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["cuts", "prefixes", "tree"])
def test_other_boundaries_are_refused(kind, capsys):
    """Accelerators run a graph."""
    assert run(["plan", EXAMPLE, "--boundaries", kind]) == 2
    assert "accelerators run a graph of layers" in capsys.readouterr().err


def test_the_least_round_is_asked_for_by_name(tmp_path, capsys):
    """Of a scenario and of an instance file; a file without micro-batches is refused."""
    drawn(2, 5).save(tmp_path / "p.json")
    given, instance = tmp_path / "s.yaml", tmp_path / "instance.json"
    given.write_text(yaml.safe_dump(scenario("p.json")))
    assert run(["plan", str(given), "--objective", "round"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "objective round" in shown
    assert "A round at most" in shown
    assert "Optimal by proof" in shown
    problem = GraphPartition([2, 1, 1], [0.5, 0.5, 0], [[0, 1], [1, 2]], 2, micro_batches=4)
    problem.save(instance)
    assert run(["solve", str(instance), "--objective", "round"]) == 0
    assert "graph_partition (round), solver ideals" in capsys.readouterr().out
    GraphPartition([2, 1], [0, 0], [[0, 1]], 2).save(instance)
    assert run(["solve", str(instance), "--objective", "round"]) == 2
    assert "micro_batches: is missing, and the objective is a round" in capsys.readouterr().err
