"""Parts as ONNX models and torch.export programs against the whole models in PyTorch."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.errors import CapabilityError  # noqa: E402
from splitopt.export import registry  # noqa: E402
from splitopt.export.registry import EXPORTERS, exporter  # noqa: E402
from splitopt.models import build  # noqa: E402

pytestmark = pytest.mark.train

HERE = Path(__file__).parent
FORMATS = ("torch-export", "onnx", "openvino", "executorch")
BATCHES = (1, 4, 7)

RUN = """
import json, pathlib
import numpy as np
import run

given = np.load("given.npz")
chain = run.load_chain("d0")
results = {}
for batch in (1,) if run.manifest()["programs"].get("batch") else (1, 4, 7):
    value = given[str(batch)]
    for number, (party, part) in enumerate(chain):
        value = part(value)
        results[f"{batch} {number}"] = value
np.savez("results.npz", **results)
print([party for party, _ in chain])
print(len(run.load_parts("d0")), *("torch" in sys.modules,))
"""


class Residual(nn.Module):
    """A user's model with what differs by mode, an addition, and a value three times the batch."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.body = nn.Conv2d(6, 6, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.rows = nn.Linear(32, 12)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = x + self.drop(self.body(x))
        rows = self.rows(x.reshape(-1, 32))  # 12 to a sample
        return self.head(torch.tanh(rows)).reshape(x.shape[0], 12, 4).mean(1)


def shipped(name, shape):
    return lambda: build(name, shape)


NETWORKS = {
    "cnn": (shipped("cnn", (1, 8, 8)), (1, 8, 8)),
    "lenet12": (shipped("lenet12", (1, 8, 8)), (1, 8, 8)),
    "gpt": (shipped("gpt", (8,)), (8,)),
    "user": (Residual, (3, 8, 8)),
}


def need(form):
    for package in EXPORTERS[form].needs:
        pytest.importorskip(package, reason=f"needs the extra {EXPORTERS[form].extra!r}")


def tried(model, shape, tokens):
    """Return batches, and train the statistics of normalisations away from 0 and 1."""
    generator = torch.Generator().manual_seed(4)

    def draw(batch):
        if tokens:
            return torch.randint(0, 9, (batch, *shape), generator=generator)
        return torch.randn(batch, *shape, generator=generator)

    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(draw(16))
    return {batch: draw(batch) for batch in BATCHES}


QUICK = ("user", "onnx")
"""The network and format that are tried each time; writing a program takes seconds."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"),
    [
        pytest.param(name, form, marks=[pytest.mark.slow] * ((name, form) != QUICK))
        for name in NETWORKS
        for form in FORMATS
    ],
)
def test_programs_compute_what_the_model_computes(tmp_path, job_for, alone, name, form):
    """For batches of 1, 4 and 7, run in the folder without splitopt; onnxruntime without torch.

    ExecuTorch for one sample alone.
    """
    need(form)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    make, shape = NETWORKS[name]
    model = make()
    batches = tried(model, shape, name == "gpt")
    cuts = job_for(model, batches[4], [()]).split.cuts
    few = tuple(dict.fromkeys((cuts[len(cuts) // 3], cuts[-2])))
    if name == "user":
        few = cuts[1::2]
    job = job_for(model, batches[4], [few], name=name)
    for file, content in exporter(form)(job).items():
        (tmp_path / file).write_bytes(content)
    np.savez(tmp_path / "given.npz", **{str(size): x.numpy() for size, x in batches.items()})
    where = ""
    for package in {"onnxruntime", "openvino", "executorch"} & set(EXPORTERS[form].needs):
        [place] = importlib.util.find_spec(package).submodule_search_locations
        where = f"sys.path.append({str(Path(place).parent)!r})\n"
    ran = alone(where + RUN, tmp_path)
    assert ran.stdout.splitlines()[0] == str(["d0", "s0", "s1", "s2", "s3"][: len(few) + 1])
    assert ran.stdout.splitlines()[1] == f"1 {form not in ('onnx', 'openvino')}"
    model.eval()
    results = np.load(tmp_path / "results.npz")
    sizes = (1,) if form == "executorch" else BATCHES
    assert {name.partition(" ")[0] for name in results} == {str(size) for size in sizes}
    for size in sizes:
        with torch.no_grad():
            whole = model(batches[size])
        found = results[f"{size} {len(few)}"]
        np.testing.assert_allclose(found, whole.numpy(), rtol=1e-5, atol=1e-5)
    manifest = json.loads((tmp_path / "parts.json").read_text())
    assert manifest["programs"]["form"] == form
    for number, part in enumerate(manifest["parts"]):
        assert part["difference"] <= 1e-5
        [given] = part["outputs"]
        sides = [
            sizes[-1] * int(side[:-1] or 1) if isinstance(side, str) else side
            for side in given["shape"]
        ]
        assert results[f"{sizes[-1]} {number}"].shape == tuple(sides)
        assert str(results[f"{sizes[-1]} {number}"].dtype) == given["dtype"]
    if name == "user":
        assert any(
            side == "12B" for part in manifest["parts"] for side in part["inputs"][0]["shape"]
        )
    for file in tmp_path.glob("Part*"):
        assert str(HERE.parent).encode() not in file.read_bytes()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.slow
def test_given_weights_are_in_the_programs(tmp_path, job_for, monkeypatch, form):
    """Those of the export, not those that the module happens to have; the module stays as it is."""
    need(form)
    model, other = build("cnn", (1, 8, 8)), build("cnn", (1, 8, 8))
    x = torch.randn(2, 1, 8, 8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    job = job_for(model, x, [("pool1",)], weights=other.state_dict(), name="cnn", shipped=True)
    found = exporter(form)(job)
    for file, content in found.items():
        (tmp_path / file).write_bytes(content)
    assert "given with `--weights`" in found["README.md"].decode()
    assert "weights.safetensors" not in found
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert model.training
    assert all(item.requires_grad for item in model.parameters())
    x = x[:1] if form == "executorch" else x
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "run", raising=False)
    run = importlib.import_module("run")
    monkeypatch.delitem(sys.modules, "run")
    value = x.numpy()
    for _, part in run.load_chain("d0"):
        value = part(value)
    with torch.no_grad():
        np.testing.assert_allclose(value, other.eval()(x).numpy(), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="there is no client 'd9'; choose one of d0"):
        run.load_chain("d9")
    with pytest.raises(ValueError, match="'s9' holds no part"):
        run.load_parts("s9")
    page = found["README.md"].decode()
    _, alone, chain = page.split("```python\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    exec(alone.partition("```")[0], {})
    exec(chain.partition("```")[0], {"inputs": (x.numpy(),)})
    monkeypatch.delitem(sys.modules, "run")


class Counting(nn.Module):
    """Writes a buffer in both modes."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 3)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        x = self.one(x)
        self.seen += 1
        return self.two(torch.tanh(x))


@pytest.fixture
def odd(monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module("odd_networks")


@pytest.mark.slow
def test_what_is_no_program_is_said(odd, job_for):
    """Decisions by the data, and buffers that are written in evaluation mode."""
    x = torch.randn(4, 6)
    for model, words in (
        (odd.Declared(), r"Part2 \(from behind .* to the output\) is no program for torch.export"),
        (Counting(), r"writes its buffer 'seen' in evaluation mode"),
        (odd.Unsettled(), "found by torch.export"),
    ):
        cut = job_for(model, x, [()]).split.cuts[0]
        with pytest.raises(CapabilityError, match=words):
            exporter("torch-export")(job_for(model, x, [(cut,)]))


@pytest.mark.slow
def test_models_that_are_no_code_are_programs(tmp_path, odd, job_for):
    """A tensor made on the way that is too large to be written as code."""
    model, x = odd.Large(), torch.randn(4, 6)
    job = job_for(model, x, [(job_for(model, x, [()]).split.cuts[1],)])
    with pytest.raises(CapabilityError, match="more than 1024 numbers"):
        exporter("torch")(job)
    found = exporter("torch-export")(job)
    value = x
    for name in ("Part1.pt2", "Part2.pt2"):
        (tmp_path / name).write_bytes(found[name])
        value = torch.export.load(tmp_path / name).module()(value)
    assert torch.allclose(value, model.eval()(x), atol=1e-6)


@pytest.mark.slow
def test_programs_that_differ_are_refused(monkeypatch, job_for):
    """What is written was run, and held against the part."""
    from splitopt.export import torch_export

    load = torch.export.load

    def spoiled(stream):
        program = load(stream)
        next(iter(program.state_dict.values())).data += 0.01
        return program

    monkeypatch.setattr(torch_export.torch.export, "load", spoiled)
    model = build("cnn", (1, 8, 8))
    job = job_for(model, torch.randn(2, 1, 8, 8), [("pool1",)])
    with pytest.raises(CapabilityError, match=r"Part1 as a program of torch\.export differs"):
        exporter("torch-export")(job)


def test_missing_packages_are_named(monkeypatch):
    """One sentence says which, and what installs them."""
    have = registry.importlib.util.find_spec
    absent = ("onnx", "onnxruntime")
    monkeypatch.setattr(
        registry.importlib.util, "find_spec", lambda name: None if name in absent else have(name)
    )
    with pytest.raises(CapabilityError, match=r"onnx.* and onnxruntime.*'splitopt\[onnx\]'"):
        exporter("onnx")


class Masked(nn.Module):
    """Attention in two layers, whose mask is an input and is needed behind every cut."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 8)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 9)

    def attended(self, value, key, mask):
        scores = value @ key(value).transpose(1, 2)
        return scores.masked_fill(~mask[:, None, :], float("-inf")).softmax(-1) @ value

    def forward(self, tokens, attention_mask):
        value = self.norm(self.attended(self.embed(tokens), self.first, attention_mask))
        return self.head(torch.tanh(self.attended(value, self.second, attention_mask)))


class Added(Masked):
    """The same of a mask of whole numbers, which is made real numbers once, as in BERT."""

    def attended(self, value, key, mask):
        return (value @ key(value).transpose(1, 2) + mask).softmax(-1) @ value

    def forward(self, tokens, attention_mask):
        mask = (1.0 - attention_mask[:, None, :].float()) * -1e4
        value = self.norm(self.attended(self.embed(tokens), self.first, mask))
        pooled = torch.tanh(self.attended(value, self.second, mask)) * attention_mask[:, :, None]
        return self.head(pooled)


RUN_SEVERAL = """
import numpy as np
import run

given = np.load("given.npz")
results = {}
for batch in (1,) if run.manifest()["programs"].get("batch") else (1, 4, 7):
    values = [given[f"tokens {batch}"], given[f"mask {batch}"]]
    crossed = []
    for party, part in run.load_chain("d0"):
        found = part(*values)
        values = found if isinstance(found, list) else [found]
        crossed.append(len(values))
    results[str(batch)] = values[0]
np.savez("results.npz", **results)
print(crossed)
"""


def masked_batches(kind):
    """Return tokens and masks of samples of different lengths."""
    generator = torch.Generator().manual_seed(4)
    found = {}
    for batch in BATCHES:
        lengths = torch.randint(1, 7, (batch, 1), generator=generator)
        mask = torch.arange(6)[None] < lengths
        tokens = torch.randint(0, 9, (batch, 6), generator=generator)
        found[batch] = {"tokens": tokens, "attention_mask": mask.to(kind)}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("kind", "made"), [(torch.bool, Masked), (torch.int64, Added)], ids=["truth", "numbers"]
)
def test_a_mask_crosses_beside_the_values(tmp_path, job_for, alone, kind, made, form):
    """Each of several tensors is an output of one program and an input of the next, of its type."""
    need(form)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model, batches = made(), masked_batches(kind)
    example = tuple(batches[4].values())
    split = job_for(model, example, [()], most=3).split
    several = [name for name in split.cuts if name in split.layouts]
    few = tuple(dict.fromkeys((several[0], several[-1])))
    job = job_for(model, example, [few], most=3)
    for file, content in exporter(form)(job).items():
        (tmp_path / file).write_bytes(content)
    given = {}
    for size, one in batches.items():
        given |= {f"tokens {size}": one["tokens"], f"mask {size}": one["attention_mask"]}
    np.savez(tmp_path / "given.npz", **{name: own.numpy() for name, own in given.items()})
    where = ""
    for package in {"onnxruntime", "openvino", "executorch"} & set(EXPORTERS[form].needs):
        [place] = importlib.util.find_spec(package).submodule_search_locations
        where = f"sys.path.append({str(Path(place).parent)!r})\n"
    ran = alone(where + RUN_SEVERAL, tmp_path)
    assert (
        ran.stdout.split() == str([len(split.layouts[own].sections) for own in few] + [1]).split()
    )
    model.eval()
    results = np.load(tmp_path / "results.npz")
    for size in (1,) if form == "executorch" else BATCHES:
        with torch.no_grad():
            wanted = model(**batches[size]).numpy()
        there = batches[size]["attention_mask"].numpy().astype(bool)
        np.testing.assert_allclose(results[str(size)][there], wanted[there], atol=1e-5)
    manifest = json.loads((tmp_path / "parts.json").read_text())
    crossing = manifest["crossings"][few[0]]["tensors"]
    part = manifest["parts"][0]["outputs"]
    assert [(own["shape"], own["dtype"]) for own in part] == [
        (own["shape"], own["dtype"]) for own in crossing
    ]
    dtypes = {own["dtype"] for part in manifest["parts"] for own in part["outputs"]}
    assert dtypes >= {"float32", str(kind).removeprefix("torch.")}
