"""Exports of a plan whose cut lies between the uses of a tied weight."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("safetensors", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import CapabilityError, Scenario  # noqa: E402
from splitopt.export import export_plan, merge_parts  # noqa: E402
from splitopt.models.gpt import GPT  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402

pytestmark = pytest.mark.train

IDS = torch.zeros(2, 6, dtype=torch.int64)
TRAIN = """
import sys
import torch
from parts import load_chain, save_parts
sys.path.insert(0, "..")
from words import make

model = make()
chain = load_chain(model, "phone")
torch.manual_seed(1)
step = torch.optim.SGD(model.parameters(), lr=0.5)
value = torch.arange(12).reshape(2, 6) % 12
sent = []
for _, part in chain:
    entry = value if not sent else value.detach().requires_grad_()
    value = part(entry)
    sent.append((entry, value))
sent[-1][1].square().mean().backward()
sent[0][1].backward(sent[1][0].grad)
step.step()
save_parts("trained", [part for _, part in chain], "phone")
torch.save(model.state_dict(), "whole.pt")
"""


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Return a plan whose device has the embedding and the first block: other cuts leak."""
    (tmp_path / "words.py").write_text(
        "import torch\nfrom splitopt.models.gpt import GPT\n\n\ndef make():\n"
        "    torch.manual_seed(0)\n"
        "    return GPT(6, 12, width=8, heads=2, layers=2, tied=True)\n"
    )
    monkeypatch.chdir(tmp_path)
    model = GPT(6, 12, width=8, heads=2, layers=2, tied=True)
    document = trace(model, IDS, tied="copies", keep_all=True).profile.to_dict()
    document["leakage"] = [0.1 if name == "blocks.0" else 1.0 for name in document["layers"]]
    (tmp_path / "tied.json").write_text(json.dumps(document))
    device = {"name": "phone", "compute": "2 MFLOP/s", "samples": 10, "batch_size": 4}
    return splitopt.plan(
        Scenario.from_dict(
            {
                "format": "splitopt-scenario",
                "version": 1,
                "name": "words",
                "model": {"file": str(tmp_path / "tied.json")},
                "devices": [device],
                "links": {"downlink": "4 Mbit/s", "uplink": "8 Mbit/s"},
                "servers": [{"name": "server", "compute": "9 MFLOP/s"}],
                "privacy": {"leakage_limit": 0.5},
                "training": {"epochs": 1, "rounds": 1},
            }
        )
    )


@pytest.mark.slow
def test_parts_say_how_they_are_trained_and_merge_to_the_whole(tmp_path, plan):
    """One tensor in one process; both parts save it, and the merged model has it once."""
    folder = tmp_path / "parts"
    export_plan(plan, folder, model="words.py:make")
    page = (folder / "README.md").read_text()
    assert "train `tokens.weight` (tied weights)" in page
    subprocess.run([sys.executable, "-c", TRAIN], cwd=folder, check=True)
    merged = merge_parts(folder, trained=folder / "trained").state
    whole = torch.load(folder / "whole.pt")
    assert whole.keys() == merged.keys()
    for name, value in whole.items():
        assert torch.equal(merged[name], value), name
    assert torch.equal(merged["head.weight"], merged["tokens.weight"])


@pytest.mark.slow
def test_stages_that_would_train_their_own_are_refused(tmp_path, plan):
    """The two processes have nobody who adds their gradients."""
    with pytest.raises(CapabilityError, match=r"tokens\.weight is trained by several parts of pho"):
        export_plan(plan, tmp_path / "stages", to="torch-pipelining", model="words.py:make")
    with pytest.raises(CapabilityError, match=r"tokens\.weight is trained on both sides of a cut"):
        export_plan(plan, tmp_path / "app", to="flower", model="words:make")
