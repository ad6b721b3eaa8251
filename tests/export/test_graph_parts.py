"""The parts of a graph as code: they train without splitopt, and equal the whole model."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch.nn import functional

from splitopt import CapabilityError, InfeasibleError, InputError, export_plan, plan
from splitopt.models.registry import build
from splitopt.profiles import trace
from splitopt.training.graph import train_graph
from tests.accelerated import scenario
from tests.branching import CASES, made

pytestmark = pytest.mark.train


def planned(name, folder, **accelerators):
    """Return a plan of a model with the model and what draws a batch."""
    module, draw = made(name)
    trace(module, draw(2), boundaries="graph").profile.save(folder / "profile.json")
    return plan(scenario(folder / "profile.json", **accelerators)), module, draw


@pytest.fixture
def imported(monkeypatch):
    """Return a function that imports the script of a folder, whose parts stand beside it."""

    def script(folder):
        monkeypatch.syspath_prepend(str(folder))
        for name in ("parts", "train_graph"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module("train_graph")

    yield script
    for name in ("parts", "train_graph"):
        sys.modules.pop(name, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_script_trains_as_splitopt_does(name, tmp_path, imported):
    """Weights after a step, and the bytes of every machine."""
    found, module, draw = planned(name, tmp_path)
    export_plan(found, tmp_path / "out", model=module, example=draw(2))
    pairs = []
    for _ in range(3):
        inputs = draw(2)
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        with torch.no_grad():
            pairs.append((inputs, torch.randn_like(module.eval()(*given))))
    run = train_graph(
        found, module, pairs, loss=functional.mse_loss, optimizer=lambda p: torch.optim.SGD(p, 0.1)
    )
    pipeline = imported(tmp_path / "out").load(module)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    listed = [(x if isinstance(x, tuple) else (x,), y) for x, y in pairs]
    loss = pipeline.step(listed, functional.mse_loss)
    optimizer.step()
    assert loss == pytest.approx(run.losses[0])
    for one, two in zip(module.state_dict().values(), run.model.state_dict().values(), strict=True):
        assert torch.allclose(one, two, rtol=1e-10, atol=1e-12)
    for row in run.traffic:
        assert pipeline.sent_bytes[row.name] == row.sent_bytes
        assert pipeline.received_bytes[row.name] == row.received_bytes


@pytest.mark.slow
def test_a_shipped_network_runs_without_splitopt(tmp_path):
    """A process that cannot import splitopt compares the parts with the whole."""
    torch.manual_seed(0)
    network = build("resnet18", (3, 16, 16), classes=4)
    traced = trace(network, torch.randn(2, 3, 16, 16), boundaries="graph", name="resnet18")
    traced.named("resnet18", 4).profile.save(tmp_path / "profile.json")
    found = plan(scenario(tmp_path / "profile.json", compute="1 TFLOPS"))
    out = tmp_path / "out"
    written = export_plan(found, out, classes=4)
    assert {"model.py", "graph.json", "train_graph.py", "export.json"} <= set(written["files"])
    code = (
        "import sys; sys.modules['splitopt'] = None; sys.argv = ['x', '--model', 'model:build'];"
        "import train_graph; sys.exit(train_graph.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=out, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "largest relative difference of a gradient: 0" in done.stdout
    export_plan(found, out, classes=4, force=True)


@pytest.mark.slow
def test_weights_go_along(tmp_path, imported):
    """They are read into another model before its first step."""
    pytest.importorskip("safetensors")
    from safetensors.torch import save_file

    found, module, draw = planned("towers", tmp_path)
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    weights = tmp_path / "w.safetensors"
    export_plan(found, tmp_path / "out", model=module, example=draw(2), weights=weights)
    torch.manual_seed(9)
    other = type(module)().double()
    imported(tmp_path / "out").load(other, weights="weights.safetensors")
    pairs = zip(other.state_dict().values(), module.state_dict().values(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


@pytest.mark.slow
def test_what_an_export_refuses(tmp_path, imported):
    """Other formats by name, options of chains, plans without a decision, and other models."""
    found, module, draw = planned("towers", tmp_path)
    out, how = tmp_path / "out", {"model": module, "example": draw(2)}
    for to in ("torch-export", "flower"):
        with pytest.raises(InputError, match=f"'{to}' does not hold; export it to 'torch'"):
            export_plan(found, out, to=to, **how)
    for given, message in (
        ({"match": "names"}, "match: is 'names'"),
        ({"stages": ["a"]}, "stages: is for plans that cut a chain"),
        ({"scheme": "vanilla"}, "scheme: is for plans that cut a chain"),
    ):
        with pytest.raises(InputError, match=message):
            export_plan(found, out, **how, **given)
    with pytest.raises(InputError, match="make no chain of stages that hand on one tensor"):
        export_plan(found, out, to="torch-pipelining", **how)
    small, *_ = planned("towers", tmp_path, memory="10 B")
    with pytest.raises(InfeasibleError, match="there is nothing to export"):
        export_plan(small, out, **how)
    other, draw = made("unet")
    with pytest.raises(InputError, match="model: is not the one that was planned"):
        export_plan(found, out, model=other, example=draw(2))
    assert not out.exists()
    export_plan(found, out, **how)
    script = imported(out)
    with pytest.raises(ValueError, match="this is another model than that of the plan"):
        script.load(other)
    with pytest.raises(ValueError, match="there is no machine 'gpu'"):
        script.load(module, {"gpu": "cpu"})
    assert json.loads((out / "graph.json").read_text())["micro_batches"] == 3


@pytest.mark.slow
def test_a_chain_of_machines_is_a_pipeline_of_pytorch(tmp_path):
    """Stages and micro-batches are those of the plan, and the parts compute what the whole does."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(6, 6) for _ in range(5)]
    module = torch.nn.Sequential(*layers)
    trace(module, torch.randn(2, 6), boundaries="graph").profile.save(tmp_path / "p.json")
    found = plan(scenario(tmp_path / "p.json", rate="10 Gbps", micro_batches=6))
    out = tmp_path / "out"
    export_plan(found, out, to="torch-pipelining", model=module, example=torch.randn(2, 6))
    (client,) = json.loads((out / "pipeline.json").read_text())["clients"].values()
    rows = found.prediction["machines"]
    assert [stage["party"] for stage in client["stages"]] == [row["name"] for row in rows]
    assert [s["until"] or "4" for s in client["stages"]] == [row["layers"][-1] for row in rows]
    assert (client["batch_size"], client["microbatches"]) == (12, 6)
    spec = importlib.util.spec_from_file_location("stages", out / "parts.py")
    parts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parts)
    x = value = torch.randn(3, 6)
    for _, part in parts.load_chain(module, rows[0]["name"]):
        value = part(value)
    assert torch.equal(value, module(x))


def test_capability_error_is_of_the_package():
    """What cannot be written as code is told as in other exports."""
    from splitopt.export.code import graph_code
    from splitopt.profiles.tracing.cuts.graph import PieceCode

    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(lambda value: value, (x,)))
    with pytest.raises(CapabilityError, match="cannot be written as code"):
        graph_code({True: PieceCode(graph, {}, frozenset())})


class Heads(torch.nn.Module):
    """Two heads, in a tuple or within each other."""

    def __init__(self, nested=False):
        super().__init__()
        self.nested = nested
        self.a, self.b, self.c = (torch.nn.Linear(3, 3) for _ in range(3))

    def forward(self, x):
        """Return what both heads say."""
        y = torch.relu(self.a(x))
        return (self.b(y), (self.c(y),)) if self.nested else (self.b(y), self.c(y))


@pytest.mark.slow
def test_heads_on_several_machines(tmp_path, imported):
    """The gradients of a loss of both heads are those of the whole model; nesting is refused."""
    torch.manual_seed(0)
    for nested in (True, False):
        module = Heads(nested).double()
        example = torch.randn(2, 3, dtype=torch.float64)
        trace(module, example, boundaries="graph").profile.save(tmp_path / "heads.json")
        found = plan(scenario(tmp_path / "heads.json", rate="100 Gbit/s"))
        if nested:
            with pytest.raises(CapabilityError, match="returns its results within each other"):
                export_plan(found, tmp_path / "out", model=module, example=example)
    assert len(found.prediction["machines"]) > 1
    export_plan(found, tmp_path / "out", model=module, example=example)
    script = imported(tmp_path / "out")
    assert script.compare(module) < 1e-12
    machines = json.loads((tmp_path / "out" / "graph.json").read_text())["machines"]
    assert sorted(number for row in machines for number in row["returns"]) == [0, 1]
