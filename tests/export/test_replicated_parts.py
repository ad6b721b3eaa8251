"""Exports of replicated pipelines: what torchrun trains from the folder is what we train."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import nn

from splitopt import InputError, plan
from splitopt.export import export_plan
from splitopt.profiles import trace
from splitopt.simulation.schedules import run_schedule
from splitopt.training.data import DataSet
from splitopt.training.job import TrainingJob
from splitopt.training.options import Options
from splitopt.training.preparing.prepare import prepare
from splitopt.training.program import program_of
from tests.export.test_torch_pipelining import torchrun
from tests.replicated import scenario

pytestmark = pytest.mark.train

FAST = {"name": "fast", "count": 2, "compute": "1 MFLOPS", "rate": "1 Gbps"}
SLOW = {"name": "slow", "compute": "500 kFLOPS", "rate": "1 Gbps"}
NETWORK = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    layers = [nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 24), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(24, 3)).double()
"""
EPOCHS = 3


def network():
    """Return the model of the file."""
    space = {}
    exec(NETWORK, space)
    return space["build"]()


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Provide a plan of three machines in stages, of which one has two."""
    folder = tmp_path_factory.mktemp("replicas")
    trace(network(), torch.randn(2, 6, dtype=torch.float64)).profile.save(folder / "p.json")
    given = {"batch_size": 4, "micro_batches": 5, "use_all_machines": True, "max_replicas": 2}
    made = plan(scenario(folder / "p.json", FAST, SLOW, recompute="always", **given))
    sizes = [sum(len(r["machines"]) for r in s["replicas"]) for s in made.prediction["stages"]]
    assert sorted(sizes) == [1, 2]
    return made


@pytest.fixture(scope="module")
def written(planned, tmp_path_factory):
    """Provide the folder of its export."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "network.py").write_text(NETWORK)
    export_plan(planned, folder / "out", model=f"{folder}/network.py:build")
    return folder


def test_every_micro_batch_passes_every_stage_once_each_way(planned, written):
    """In the order of the replay, on the machine that it is dealt to, backward behind forward."""
    spec = json.loads((written / "out" / "replicas.json").read_text())
    opened = program_of(planned).opened
    counts = {"stages": len(spec["stages"]), "passes": 0}
    for stage in spec["stages"]:
        assert stage["recompute"] is True
        for own, passes in enumerate(stage["passes"]):
            assert len({tuple(one) for one in passes}) == len(passes)
            for place, (kind, number) in enumerate(passes):
                assert stage["dealt"][number] == own
                if kind == "backward":
                    assert ["forward", number] in passes[:place]
            counts["passes"] += len(passes)
    assert counts["passes"] == 2 * 5 * counts["stages"]
    ends = {(p.stage, p.micro_batch, p.kind): p.end_s for p in run_schedule(
        opened.problem, opened.decision).passes}  # fmt: skip
    assert len(ends) == counts["passes"]
    assert "torchrun --standalone --nproc-per-node 3" in (written / "out" / "README.md").read_text()


def in_one_process(planned, module, x, y):
    """Train by our scheme in the order of the script; return it, and the loss of every round."""
    data = DataSet("made", x, y, x[:4], y[:4], classes=3)
    options = Options(learning_rate=0.05, momentum=0.9)
    scheme = prepare(TrainingJob(planned, module, data, options=options)).scheme
    generator, losses = torch.Generator().manual_seed(0), []
    for number in range(EPOCHS):
        order = torch.randperm(len(x), generator=generator)
        batches = [(x[rows], y[rows]) for rows in order.split(4)]
        scheme.clients[0].batches.take = lambda count, own=batches: iter(own)
        scheme.begin_round(number)
        losses.append(scheme.round(number).loss)
    return scheme, losses


@pytest.mark.slow
def test_torchrun_learns_what_one_process_does(planned, written):
    """Weights and running statistics, in float64, of three processes and of one."""
    from safetensors.torch import load_file, save_file

    torch.manual_seed(1)
    x, y = torch.randn(20, 6, dtype=torch.float64), torch.arange(20) % 3
    save_file({"inputs": x, "targets": y}, str(written / "data.safetensors"))
    module = network()
    scheme, losses = in_one_process(planned, module, x, y)
    given = ("--data", str(written / "data.safetensors"), "--save", "trained", "--device", "cpu")
    more = ("--epochs", str(EPOCHS), "--momentum", "0.9")
    code, out = torchrun(written / "out", 3, *given, *more, script="train_replicas.py")
    assert code == 0, out
    told = [float(line.split()[-1]) for line in out.splitlines() if line.startswith("epoch")]
    assert told == pytest.approx(losses, rel=1e-5)
    found = {}
    for file in (written / "out" / "trained").iterdir():
        found |= load_file(str(file))
    expected = scheme.model.state_dict()
    compared = [name for name, value in expected.items() if value.is_floating_point()]
    for name in compared:
        assert torch.allclose(found[name], expected[name], rtol=1e-10, atol=1e-12), name
    begun = module.state_dict()
    assert sum(not torch.equal(found[name], begun[name]) for name in compared) >= 7
    assert len(compared) == 10


def test_other_targets_and_models_are_refused(planned, tmp_path):
    """Formats that hold no replicas, another scheme, a model that is another one."""
    model = network()
    for to in ("torch-pipelining", "torch-export", "flower"):
        with pytest.raises(InputError, match="is a plan of replicated_pipeline, whose machines"):
            export_plan(planned, tmp_path / "a", to=to, model=model)
    with pytest.raises(InputError, match="scheme: is for plans of devices"):
        export_plan(planned, tmp_path / "a", model=model, scheme="federated")
    with pytest.raises(InputError):
        export_plan(planned, tmp_path / "a", model=nn.Sequential(nn.Linear(6, 3)).double())
    assert not (tmp_path / "a").exists()
