"""Samples with several inputs: traced, cut, shared out and trained as the whole model is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.cli.entry import run as run_command  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.profiles.table.trace_record import TraceRecord  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.data import load_data  # noqa: E402
from splitopt.training.data.named import Named  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.tasks.targets import IGNORED  # noqa: E402

pytestmark = pytest.mark.train
RNG = np.random.default_rng(0)
N = 60
SOURCE = Path(__file__).with_name("several_inputs.py").read_text()
LENGTHS = RNG.integers(2, 6, N)
MASK = np.arange(5) < LENGTHS[:, None]
TOKENS = np.where(MASK, RNG.integers(1, 9, (N, 5)), 0)
INPUTS = {
    "Two": {
        "numbers": RNG.normal(size=(N, 3)),
        "image": RNG.integers(0, 256, (N, 1, 8, 8), dtype=np.uint8),
    },
    "Masked": {"tokens": TOKENS, "mask": MASK},
}
TARGETS = {"Two": RNG.integers(0, 4, N), "Masked": np.where(MASK, np.roll(TOKENS, -1, 1), IGNORED)}
TASK = {"Two": "classification", "Masked": "language"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the models, data of them, and plans whose devices hold first parts."""
    place = tmp_path_factory.mktemp("inputs")
    (place / "net.py").write_text(SOURCE)
    for name, inputs in INPUTS.items():
        arrays = {f"x.{key}": value for key, value in inputs.items()}
        np.savez(place / f"{name}.npz", **arrays, y=TARGETS[name])
        example = load_data((inputs, TARGETS[name]), targets=_targets(name)).train_inputs[:2]
        profile = trace(_model(name), dict(example.tensors), name="net", keep_all=True).profile
        profile.save(place / f"{name}.profile.json")
        _plan(place / f"{name}.profile.json", "abc").save(place / f"{name}.plan.json")
    return place


def _targets(name):
    from splitopt.training.tasks import TASKS

    return TASKS[TASK[name]].targets


def _plan(profile, names):
    document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": str(profile)}}
    samples = 36 // len(names)
    document["devices"] = [
        {"name": name, "compute": "2 kFLOP/s", "samples": samples, "batch_size": 5}
        for name in names
    ]
    return splitopt.plan(Scenario.from_dict(document))


def _model(name, seed=0):
    space = {}
    exec(compile(SOURCE, "net.py", "exec"), space)
    torch.manual_seed(seed)
    return space[name]()


def _shuffled(name):
    """Return the inputs in the other order of names: what counts is the name."""
    return dict(reversed(INPUTS[name].items()))


@pytest.mark.one_quick
@pytest.mark.parametrize("name", INPUTS)
def test_split_learns_what_the_whole_learns(folder, name):
    plan = splitopt.Plan.load(folder / f"{name}.plan.json")
    given = {"task": TASK[name], "rounds": 2, "options": Options(learning_rate=0.2, momentum=0.9)}
    data = (INPUTS[name], TARGETS[name])
    split = splitopt.train(plan, _model(name), data, **given)
    whole = splitopt.train(plan, _model(name), data, scheme="federated", **given)
    filed = splitopt.train(plan, _model(name), str(folder / f"{name}.npz"), **given)
    swapped = splitopt.train(plan, _model(name), (_shuffled(name), TARGETS[name]), **given)
    assert all(client.cuts for client in split.scheme.clients)
    for key, value in split.model.state_dict().items():
        for other in (whole, filed, swapped):
            assert torch.equal(value, other.model.state_dict()[key]), key
    assert [(r.loss, r.metrics) for r in split.history] == [
        (r.loss, r.metrics) for r in filed.history
    ]
    # What crosses the cut is counted, and not one byte of what went into the first part.
    sent = split.history.rows[-1].traffic_bytes
    samples = sum(c.samples for c in split.scheme.clients) * split.scheme.options.local_epochs
    shape, kind, _ = split.scheme.about.crossed(split.scheme.clients[0].cuts)[0]
    assert sent["smashed"] == sent["gradient"] == samples * np.prod(shape) * kind.itemsize


def test_one_client_is_plain_pytorch(folder):
    """A client alone learns, bit by bit, what a loop of torch.optim learns of the same batches."""
    plan = _plan(folder / "Two.profile.json", "a")
    run = splitopt.train(plan, _model("Two"), (INPUTS["Two"], TARGETS["Two"]), rounds=2)
    client = run.scheme.clients[0]
    assert client.cuts
    own = _model("Two")
    generator = torch.Generator().manual_seed(_batches_seed())
    for _ in range(2):
        optimizer = torch.optim.SGD(own.parameters(), lr=0.05)
        for _ in range(run.scheme.options.local_epochs):
            for rows in torch.randperm(client.samples, generator=generator).split(5):
                inputs = {k: v[rows] for k, v in client.batches.inputs.tensors.items()}
                optimizer.zero_grad()
                functional.cross_entropy(own(**inputs), client.batches.targets[rows]).backward()
                optimizer.step()
    for one, other in zip(run.model.parameters(), own.parameters(), strict=True):
        assert torch.equal(one, other)


def _batches_seed():
    from splitopt.training.preparing.setup import Draw
    from splitopt.training.randomness import seed_of

    return seed_of(0, Draw.BATCHES, 0)


def test_clients_side_by_side(folder):
    plan = splitopt.Plan.load(folder / "Two.plan.json")
    data = (INPUTS["Two"], TARGETS["Two"])
    one = splitopt.train(plan, _model("Two"), data, rounds=1)
    two = splitopt.train(plan, _model("Two"), data, rounds=1, options=Options(batched=True))
    assert one.history.rows[0].loss == pytest.approx(two.history.rows[0].loss, rel=1e-5)


@pytest.mark.parametrize("scheme", ["vanilla", "splitfed_v2", "centralized"])
def test_other_schemes_take_them(folder, scheme):
    plan = splitopt.Plan.load(folder / "Two.plan.json")
    run = splitopt.train(plan, _model("Two"), str(folder / "Two.npz"), scheme=scheme, rounds=1)
    assert np.isfinite(run.history.rows[0].loss)


@pytest.mark.slow  # processes
def test_the_wire_learns_the_same(folder):
    from splitopt.training.wire.launch import run_wire

    plan = splitopt.Plan.load(folder / "Masked.plan.json")
    data = (INPUTS["Masked"], TARGETS["Masked"])
    given = {"task": "language", "rounds": 1}
    model = f"{folder / 'net.py'}:Masked"
    here = splitopt.train(plan, model, data, **given)
    there = run_wire(plan, model, data, any_speed=True, time_scale=1e-3, **given)
    for key, value in here.model.state_dict().items():
        assert torch.equal(value, there.model.state_dict()[key]), key
    assert here.history.rows[0].loss == there.history.rows[0].loss


def test_a_file_and_arrays_are_the_same_data(folder):
    for name in INPUTS:
        filed = load_data(str(folder / f"{name}.npz"), targets=_targets(name))
        given = load_data((INPUTS[name], TARGETS[name]), targets=_targets(name))
        assert filed.digest() == given.digest()
    two, masked = (load_data((INPUTS[n], TARGETS[n]), targets=_targets(n)) for n in INPUTS)
    kinds = {key: value.dtype for key, value in two.train_inputs.tensors.items()}
    assert kinds == {"numbers": torch.float32, "image": torch.float32}
    assert float(two.train_inputs.tensors["image"].max()) <= 1.0
    assert masked.train_inputs.tensors["mask"].dtype == torch.bool
    assert masked.train_inputs.tensors["tokens"].dtype == torch.int64
    assert (
        two.digest()
        != load_data((INPUTS["Two"] | {"numbers": np.zeros((N, 3))}, TARGETS["Two"])).digest()
    )


def test_inputs_by_position(folder):
    """A tuple of arrays, or files with numbers for names, are the arguments in their order."""
    tokens, mask = INPUTS["Masked"].values()
    data = load_data(((tokens, mask), TARGETS["Masked"]), targets=_targets("Masked"))
    assert tuple(data.train_inputs.tensors) == ("0", "1")
    plan = splitopt.Plan.load(folder / "Masked.plan.json")
    one = splitopt.train(plan, _model("Masked"), data, task="language", rounds=1)
    two = splitopt.train(
        plan, _model("Masked"), (INPUTS["Masked"], TARGETS["Masked"]), task="language", rounds=1
    )
    assert one.history.rows[0].loss == two.history.rows[0].loss
    pairs = [
        ({k: v[i] for k, v in INPUTS["Two"].items()}, int(TARGETS["Two"][i])) for i in range(N)
    ]

    class Pairs(torch.utils.data.Dataset):
        def __len__(self):
            return N

        def __getitem__(self, index):
            return pairs[index]

    assert load_data(Pairs()).digest() == load_data((INPUTS["Two"], TARGETS["Two"])).digest()
    rows = tuple(np.zeros((3,)) for _ in range(8))  # one sample for each target, as ever
    assert load_data((rows, np.arange(8) % 2, rows, np.arange(8) % 2)).shape == (3,)


IMAGES = np.zeros((N, 1, 8, 8))
TRACED = "was traced with image 1 x 8 x 8 float32 and numbers 3 float32"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"image": IMAGES}, f"samples of image 1 x 8 x 8 float32, and .* {TRACED}"),
        ({"image": IMAGES, "number": np.zeros((N, 3))}, f"and number 3 float32, .* {TRACED}"),
        ({"image": IMAGES[1:], "numbers": np.zeros((N, 3))}, "have 59 of image, 60 of numbers"),
        (
            {"image": IMAGES, "numbers": np.full((N, 3), np.nan)},
            "sample 0 holds in numbers a value that is not finite",
        ),
        ({"image": IMAGES, 3: np.zeros((N, 3))}, "inputs are named by texts"),
        ({"image": IMAGES, "numbers": np.zeros((N, 4))}, f"and numbers 4 float32, .* {TRACED}"),
        ({}, "are empty"),
    ],
)
def test_inputs_that_do_not_fit_are_named(folder, inputs, words):
    plan = splitopt.Plan.load(folder / "Two.plan.json")
    with pytest.raises(InputError, match=words):
        splitopt.train(plan, _model("Two"), (inputs, TARGETS["Two"]), rounds=1)


@pytest.mark.slow
def test_the_command_line_traces_what_a_function_or_a_file_gives(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    names = {"inputs": [{"name": "image", "shape": [1, 8, 8], "dtype": "float32"},
                        {"name": "numbers", "shape": [3], "dtype": "float32"}]}  # fmt: skip
    for example in ("net.py:batch", "Two.npz"):
        assert run_command(["profile", "net.py:Two", "--example", example, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert {"inputs": found["trace"]["inputs"]} == names
    assert run_command(["profile", "net.py:Masked", "--example", "net.py:pair", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["trace"]["inputs"]
    assert found == [{"shape": [5], "dtype": "int64"}, {"shape": [5], "dtype": "bool"}]
    for arguments, words in (
        (["--example", "net.py:wrong"], "'number' is no argument"),
        (["--example", "net.py:Two", "--input-shape", "3"], "leave --input-shape"),
        (["--example", "net.py:missing"], "there is no 'missing'"),
        (["--example", "nothing"], "it must be FILE.py:FUNCTION or the path of an .npz file"),
        (["--example", "net.py:Masked"], "found Masked"),
    ):
        assert run_command(["profile", "net.py:Two", *arguments]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "inputs",
    [
        [], "x", [{"shape": [3]}], [{"shape": [0], "dtype": "int64"}],
        [{"shape": [3], "dtype": 4}], [{"shape": [3], "dtype": "int64", "name": 3}],
        [{"shape": [3], "dtype": "int64", "name": "a"}, {"shape": [3], "dtype": "int64"}],
        [{"shape": [3], "dtype": "int64", "name": "a"}] * 2,
        [{"shape": [3], "dtype": "int64", "size": 3}],
    ],
)  # fmt: skip
def test_a_record_of_inputs_that_is_none(inputs):
    with pytest.raises(InputError, match=r"trace\.inputs"):
        TraceRecord.from_dict({"method": "fx", "inputs": inputs})


@pytest.mark.slow
def test_an_export_traces_again_what_was_recorded(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    for name, code in (("Masked", 0), ("Two", 2)):
        export = ["export", f"{name}.plan.json", "--model", f"net.py:{name}", "--to", "torch"]
        assert run_command([*export, "-o", str(tmp_path / name)]) == code
    assert "wrap the model in a module whose forward takes these alone" in capsys.readouterr().err


def test_a_batch_of_named_tensors():
    batch = Named({"a": torch.arange(6), "b": torch.ones(6, 2)})
    assert len(batch[torch.tensor([1, 3])]) == 2 == len(batch[:2])
    assert batch[torch.tensor([5])].tensors["a"].tolist() == [5]
    assert batch.to("cpu").device == torch.device("cpu")
    layer = nn.Bilinear(2, 2, 1)
    placed = Named({"input2": torch.ones(3, 2), "input1": torch.zeros(3, 2)}).arranged(layer)
    assert [float(one.sum()) for one in placed.arguments] == [0.0, 6.0]
