"""Exported parts of models whose forward pass writes, run without splitopt, against the models."""

from __future__ import annotations

import copy
import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.export.torch_parts import files  # noqa: E402

pytestmark = pytest.mark.train

NETS = Path(__file__).parents[1] / "profiles" / "tracing" / "running" / "stateful.py"
QUICK, REST = ("Observer", "Recurrent"), (
    "Mean", "Replaced", "Codebook", "Last", "Spectral", "NoGradient",
)  # fmt: skip

RUN = """
import json, pathlib, torch
import stateful
from recurrent import Recurrent

torch.set_num_threads(1)
results = {}
for name in json.loads(pathlib.Path("names.json").read_text()):
    sys.modules.pop("parts", None)
    sys.path.insert(0, name)
    from parts import load_chain
    given = torch.load(f"{name}/given.pt", weights_only=True)
    model = Recurrent() if name == "Recurrent" else getattr(stateful, name)()
    parts = [part for _, part in load_chain(model, "d0", weights="weights.safetensors")]
    for part in parts:
        part.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for x in given["batches"]:
        entries, outputs = [], []
        for part in parts:
            if outputs:
                x = outputs[-1].detach().requires_grad_()
                entries.append(x)
            outputs.append(part(x))
        outputs[-1].square().mean().backward()
        for entry, output in zip(entries[::-1], outputs[-2::-1]):
            if output.requires_grad:
                output.backward(entry.grad)
        optimizer.step()
        optimizer.zero_grad()
    assert torch.is_grad_enabled()
    results[name] = model.state_dict()
    sys.path.remove(name)
torch.save(results, "results.pt")
"""

RECURRENT = '''
from torch import nn


class Recurrent(nn.Module):
    """Two recurrent layers on each other, in both directions."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(8, 4, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        found, _ = self.rnn(x.flatten(1, 2))
        return self.head(found[:, -1])
'''


@pytest.fixture(scope="module")
def stateful():
    """Yield the module of the networks, imported by its name as a user's own would be."""
    sys.path.insert(0, str(NETS.parent))
    try:
        yield importlib.import_module("stateful")
    finally:
        sys.path.remove(str(NETS.parent))


def trained(model, batches):
    """Train the whole model by plain SGD."""
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for x in batches:
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("names", [QUICK, pytest.param(REST, marks=pytest.mark.slow)])
def test_written_parts_write_what_the_model_writes(
    tmp_path, stateful, job_for, alone, monkeypatch, names
):
    """Four steps, cut at every cut; the weights are read from beside the code."""
    torch.set_num_threads(1)
    shutil.copy(NETS, tmp_path)
    (tmp_path / "recurrent.py").write_text(RECURRENT)
    monkeypatch.syspath_prepend(tmp_path)
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randn(5, 1, 8, 8, generator=generator) for _ in range(4)]
    expected = {}
    for name in names:
        torch.manual_seed(0)
        source = importlib.import_module("recurrent") if name == "Recurrent" else stateful
        model = getattr(source, name)()
        cuts = job_for(model, batches[0], [()]).split.cuts
        assert len(cuts) >= 3
        job = job_for(model, batches[0], [cuts], weights=copy.deepcopy(model.state_dict()))
        folder = tmp_path / name
        folder.mkdir()
        for file, data in files(job).items():
            (folder / file).write_bytes(data)
        torch.save({"batches": batches}, folder / "given.pt")
        expected[name] = trained(model, batches)
    (tmp_path / "names.json").write_text(json.dumps(names))
    for name in {"Observer", "NoGradient"} & set(names):
        assert "with torch.no_grad():\n" in (tmp_path / name / "parts.py").read_text()
    alone(RUN, tmp_path)
    results = torch.load(tmp_path / "results.pt", weights_only=True)
    for name, state in expected.items():
        for key, value in state.items():
            assert torch.equal(results[name][key], value), (name, key)
        assert len(state) > 0


@pytest.mark.slow
def test_weights_are_found_beside_the_parts(tmp_path, job_for, alone):
    """From any folder; a file where Python runs comes first."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 3))
    job = job_for(model, torch.randn(2, 64), [("0",)], weights=model.state_dict())
    (tmp_path / "parts").mkdir()
    for file, data in files(job).items():
        (tmp_path / "parts" / file).write_bytes(data)
    page = (tmp_path / "parts" / "README.md").read_text()
    assert 'weights="weights.safetensors"' in page
    assert "wherever Python is run" in page
    code = f"""
import torch
from torch import nn
sys.path.insert(0, {str(tmp_path / "parts")!r})
from parts import load_parts
model = nn.Sequential(nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 3))
load_parts(model, "d0", weights="weights.safetensors")
print(float(model[0].weight.sum()))
"""
    ran = alone(code, tmp_path)
    assert float(ran.stdout) == pytest.approx(float(model[0].weight.detach().sum()), abs=1e-6)
