"""Written parts compute what the parts of the model compute, and need only PyTorch."""

from __future__ import annotations

import copy
import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from splitopt.errors import CapabilityError  # noqa: E402
from splitopt.export.torch_parts import files  # noqa: E402
from splitopt.models import build  # noqa: E402

NETWORKS = {
    "lenet12": (1, 8, 8),
    "resnet18": (3, 32, 32),
    "vgg11": (3, 32, 32),
    "mobilenetv2": (3, 32, 32),
    "gpt": (8,),
    "cnn": (1, 8, 8),
}

# Run as it stands in the folder of an export, and as a function here, on other parts.
STEP = '''
def step(parts, model, x, target):
    """One training pass by hand through detached parts; then one in evaluation mode."""
    import torch

    torch.manual_seed(7)
    model.train()
    for part in parts:
        part.train()
    entries, results = [], []
    value = x
    for index, part in enumerate(parts):
        entry = value.detach()
        if index:
            entry.requires_grad_()
        entries.append(entry)
        value = part(entry)
        results.append(value)
    loss = torch.nn.functional.cross_entropy(value.flatten(0, -2), target)
    loss.backward()
    for after, before in zip(entries[:0:-1], results[-2::-1]):
        before.backward(after.grad)
    found = {f"value{i}": item.detach() for i, item in enumerate(results)}
    found |= {name: p.grad.clone() for name, p in model.named_parameters()}
    found |= {name: b.clone() for name, b in model.named_buffers()}
    for part in parts:
        part.eval()
    value = x
    with torch.no_grad():
        for part in parts:
            value = part(value)
    found["evaluated"] = value
    return found
'''
exec(STEP)

RUN = """
import json, pathlib, torch
torch.set_num_threads(1)
results = {}
for name in json.loads(pathlib.Path("names.json").read_text()):
    for module in ("model", "parts"):
        sys.modules.pop(module, None)
    sys.path.insert(0, name)
    from model import build
    from parts import load_chain
    given = torch.load(f"{name}/given.pt", weights_only=True)
    for client in ("d0", "d1"):
        model = build()
        chain = load_chain(model, client, weights=f"{name}/weights.safetensors")
        parts = [part for _, part in chain]
        results[f"{name} {client}"] = step(parts, model, given["x"], given["target"])
    sys.path.remove(name)
torch.save(results, "results.pt")
"""


HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def odd():
    """Yield the module of odd networks, imported by its name as a user's own would be."""
    sys.path.insert(0, str(HERE))
    try:
        yield importlib.import_module("odd_networks")
    finally:
        sys.path.remove(str(HERE))


def write(folder, content):
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)


def same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name


LARGE = ("resnet18", "vgg11", "mobilenetv2")


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        pytest.param([name for name in NETWORKS if name not in LARGE], id="small"),
        pytest.param(LARGE, id="large", marks=pytest.mark.slow),
    ],
)
def test_written_networks_are_bit_identical(tmp_path, job_for, alone, names):
    """All shipped networks, cut at every cut and at two: values, gradients, statistics."""
    torch.set_num_threads(1)
    expected = {}
    for name in names:
        torch.manual_seed(3)
        shape = NETWORKS[name]
        model = build(name, shape)
        tokens = name == "gpt"
        x = torch.randint(0, 9, (3, *shape)) if tokens else torch.randn(3, *shape)
        target = torch.arange(24 if tokens else 3) % 7
        job = job_for(model, x, [(), ()], name=name, shipped=True)
        cuts = job.split.cuts
        few = (cuts[len(cuts) // 3], cuts[-2])
        weights = copy.deepcopy(model.state_dict())
        job = job_for(model, x, [cuts, few], name=name, shipped=True, weights=weights)
        write(tmp_path / name, files(job))
        torch.save({"x": x, "target": target}, tmp_path / name / "given.pt")
        for client, own in (("d0", cuts), ("d1", few)):
            whole = copy.deepcopy(model)
            parts = job.split.segments(own, whole)
            expected[f"{name} {client}"] = step(parts, whole, x, target)  # noqa: F821
    (tmp_path / "names.json").write_text(json.dumps(names))
    alone(STEP + RUN, tmp_path)
    results = torch.load(tmp_path / "results.pt", weights_only=True)
    assert results.keys() == expected.keys()
    for name in expected:
        same(results[name], expected[name])


RUN_ODD = """
import json, pathlib, torch
import odd_networks
torch.set_num_threads(1)
results = {}
for name in json.loads(pathlib.Path("names.json").read_text()):
    sys.modules.pop("parts", None)
    sys.path.insert(0, name)
    from parts import load_chain
    given = torch.load(f"{name}/given.pt", weights_only=True)
    model = getattr(odd_networks, name)()
    model.load_state_dict(given.pop("state"))
    parts = [part for _, part in load_chain(model, "d0")]
    results[name] = step(parts, model, given["x"], given["target"])
    results[f"{name} state"] = {k: torch.tensor(1) for part in parts for k in part.state_dict()}
    sys.path.remove(name)
torch.save(results, "results.pt")
"""


@pytest.mark.slow
def test_written_networks_of_a_user_are_bit_identical(tmp_path, odd, job_for, alone):
    """Modes, constants, bare parameters, functions, stages, and layers that work in place."""
    torch.set_num_threads(1)
    names, expected = ["Modes", "Made", "Declared", "nested"], {}
    shutil.copy(HERE / "odd_networks.py", tmp_path)
    for name in names:
        torch.manual_seed(3)
        model = getattr(odd, name)()
        x, target = torch.randn(4, 6), torch.tensor([0, 2, 1, 0])
        cuts = job_for(model, x, [()]).split.cuts
        assert len(cuts) >= 2
        job = job_for(model, x, [cuts])
        write(tmp_path / name, files(job))
        given = {"x": x, "target": target, "state": copy.deepcopy(model.state_dict())}
        torch.save(given, tmp_path / name / "given.pt")
        expected[f"{name} state"] = {key: torch.tensor(1) for key in model.state_dict()}
        expected[name] = step(job.split.segments(cuts), model, x, target)  # noqa: F821
    (tmp_path / "names.json").write_text(json.dumps(names))
    alone(STEP + RUN_ODD, tmp_path)
    results = torch.load(tmp_path / "results.pt", weights_only=True)
    assert results.keys() == expected.keys()
    for name in expected:
        same(results[name], expected[name])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Lambda", "<lambda>', which cannot be imported by a name"),
        ("Brought", "is a OwnLayer that is none of the model's submodules"),
        ("Large", "more than 1024 numbers"),
        ("Unsettled", "found by torch.export"),
    ],
)
def test_what_cannot_be_written_is_said(odd, job_for, name, words):
    """No code is written that would not do the same."""
    model, x = getattr(odd, name)(), torch.randn(4, 6)
    job = job_for(model, x, [(job_for(model, x, [()]).split.cuts[1],)])
    with pytest.raises(CapabilityError, match=words):
        files(job)


def test_code_is_readable_and_free_of_splitopt(job_for):
    """Classes name the layers they call; neither code nor model imports splitopt."""
    model = build("cnn", (1, 8, 8))
    job = job_for(model, torch.randn(2, 1, 8, 8), [("pool1",), ()], name="cnn", shipped=True)
    found = {name: data.decode() for name, data in files(job).items()}
    assert "        x = self.conv2(x)\n        x = self.pool2(x)\n" in found["parts.py"]
    assert 'class Part3(Part):\n    """From behind \'pool1\' to the output."""' in found["parts.py"]
    for name in ("parts.py", "model.py"):
        compile(found[name], name, "exec")
        assert "import splitopt" not in found[name]
        assert "from splitopt" not in found[name]
    assert max(map(len, found["parts.py"].splitlines())) <= 100
    manifest = json.loads(found["parts.json"])
    assert [part["layers"] for part in manifest["parts"]] == [
        ["conv1", "pool1"],
        ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2"],
        ["conv2", "pool2", "fc1", "fc2"],
    ]
    assert manifest["model"]["tensors"]["fc2.linear.bias"] == ["float32", 10]
