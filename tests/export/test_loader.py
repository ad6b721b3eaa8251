"""The loader that is written with the parts: who gets what, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import struct

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt import CapabilityError, Scenario, plan  # noqa: E402
from splitopt.export import export_plan  # noqa: E402
from splitopt.export.folder import write_folder  # noqa: E402
from splitopt.export.torch_parts import files  # noqa: E402
from splitopt.models import build  # noqa: E402


@pytest.fixture(scope="module")
def exports(tmp_path_factory, plans, job_for):
    """Return the written ``parts`` modules of the fleets with weights, and of one with two cuts."""
    from safetensors.torch import save_file

    folder, found = tmp_path_factory.mktemp("exports"), {}
    torch.manual_seed(5)
    save_file(build("cnn", (1, 8, 8)).state_dict(), folder / "given.safetensors")
    mixed = job_for(build("cnn", (1, 8, 8)), torch.randn(2, 1, 8, 8), [("pool1",), ("conv2",)])
    write_folder(folder / "mixed", files(mixed))
    for name, made in plans.items():
        export_plan(made, folder / name, weights=folder / "given.safetensors")
    for name in ("mixed", *plans):
        spec = importlib.util.spec_from_file_location(name, folder / name / "parts.py")
        found[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found[name])
    return found


@pytest.fixture
def model():
    return build("cnn", (1, 8, 8))


def layers_of(parts):
    return [[name for name, _ in part.named_children()] for part in parts]


def test_parties_hold_what_the_plan_says(exports, model, plans):
    """Devices with their own cuts, a server for each client, nodes alike for all owners."""
    fleet = exports["splitfed"]
    rows = {row["name"]: row["cut_layer"] for row in plans["splitfed"].prediction["devices"]}
    assert len(set(rows.values())) > 1
    all_layers = [name for name, _ in model.named_children()]
    for name, last in rows.items():
        kept = all_layers.index(last) + 1
        assert layers_of(fleet.load_parts(model, name)) == [all_layers[:kept]]
        if kept < len(all_layers):
            served = fleet.load_parts(model, "gateway", client=name)
            assert layers_of(served) == [all_layers[kept:]]
    one = exports["clusters"].load_parts(model, "gateway")  # all clients cut alike
    assert layers_of(one) == [["conv2", "pool2", "fc1", "fc2"]]
    pipeline = exports["pipeline"]
    assert layers_of(pipeline.load_parts(model, "owner-3")) == [["conv1"], ["fc2"]]
    chain = pipeline.load_chain(model, "owner-2")
    assert [party for party, _ in chain][::3] == ["owner-2", "owner-2"]
    assert [name for own in layers_of([part for _, part in chain]) for name in own] == all_layers
    for party, part in chain[1:3]:
        assert layers_of(pipeline.load_parts(model, party)) == layers_of([part])


def test_the_manifest_has_the_plan(exports, plans):
    """Cuts, shares, subcarriers, assignment and bytes are the plan's."""
    found = exports["splitfed"].manifest()
    decision = plans["splitfed"].decision
    assert found["decision"] == decision
    assert [c["upload_share"] for c in found["clients"]] == decision["upload_share"]
    assert found["crossings"]["pool1"]["activation_bytes_per_sample"] == 4 * 8 * 4 * 4
    clusters = exports["clusters"].manifest()
    assert [c["subcarriers"] for c in clusters["clients"]] == (
        plans["clusters"].decision["subcarriers"]
    )
    members = [[k for k, c in enumerate(clusters["clients"]) if c["cluster"] == m] for m in (0, 1)]
    assert members == [sorted(own) for own in plans["clusters"].decision["clusters"]]
    pipeline = exports["pipeline"].manifest()
    assert pipeline["decision"]["assignment"] == plans["pipeline"].decision["assignment"]
    assert {p["role"] for p in pipeline["parties"]} == {"owner", "node"}
    assert pipeline["training"] == {"epochs": 1, "rounds": 20}


def test_names_in_a_plan_are_no_code(tmp_path):
    """Whatever the scenario and the parties of a plan are called, none of it stands in code."""
    nasty = 'x"""; open("pwned", "w"); """ \'\'\'; import os'
    document = Scenario.load("digits-splitfed").to_dict()
    document["name"] = nasty
    document["devices"][0]["name"] = nasty
    made = plan(Scenario.from_dict(document))
    export_plan(made, tmp_path / "out", to="torch-pipelining")
    for name in ("parts.py", "model.py", "train_pipeline.py"):
        assert "pwned" not in (tmp_path / "out" / name).read_text()


def test_names_of_layers_are_no_code(tmp_path, job_for):
    """A layer may be called what it likes; its class has it as a text."""
    layers = {'a"""; open("pwned", "w")': nn.Linear(4, 3), "b\\'": nn.ReLU(), "c": nn.Linear(3, 2)}
    model, x = nn.Sequential(), torch.randn(2, 4)
    for name, layer in layers.items():
        model.add_module(name, layer)
    job = job_for(model, x, [tuple(layers)[:2]])
    write_folder(tmp_path / "out", files(job))
    spec = importlib.util.spec_from_file_location("nasty", tmp_path / "out" / "parts.py")
    written = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(written)
    value = x
    for _, part in written.load_chain(model, "d0"):
        value = part(value)
    assert torch.equal(value, model(x))
    assert written.Part1.__doc__ == f"From the input to behind {next(iter(layers))!r}."
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_weights_of_a_run_are_taken(tmp_path, plans):
    """The file of a training run and the folder of its checkpoint give the same weights."""
    from safetensors.torch import load_file

    from splitopt.training.runner import train

    run = train(plans["clusters"], rounds=1, checkpoint=tmp_path / "kept")
    run.save_model(tmp_path / "model.safetensors")
    for index, given in enumerate(("kept", "model.safetensors")):
        export_plan(plans["clusters"], tmp_path / f"{index}", weights=tmp_path / given)
        found = load_file(tmp_path / f"{index}" / "weights.safetensors")
        for name, value in run.model.state_dict().items():
            assert torch.equal(found[name], value)


@pytest.mark.slow
def test_noise_is_not_left_out_without_a_word(tmp_path, plans):
    """A checkpoint with a noise layer is refused by name, its weights in a file are not."""
    from splitopt.training.options import Options
    from splitopt.training.pixel_dp_options import PixelDP
    from splitopt.training.runner import train

    options = Options(pixel_dp=PixelDP("conv1", 1.0, delta=0.05))
    run = train(plans["clusters"], rounds=1, checkpoint=tmp_path / "kept", options=options)
    run.save_model(tmp_path / "model.safetensors")
    for target in ("torch", "torch-pipelining", "onnx"):
        with pytest.raises(CapabilityError, match="trained with noise behind conv1, and an export"):
            export_plan(plans["clusters"], tmp_path / "out", to=target, weights=tmp_path / "kept")
    export_plan(plans["clusters"], tmp_path / "out", weights=tmp_path / "model.safetensors")


def test_weights_of_the_parts_alone_are_read(exports, model):
    """A device's part gets the weights of the file; other layers keep theirs."""
    from safetensors.torch import load_file

    fleet = exports["clusters"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stored = load_file(fleet.HERE / "weights.safetensors")
    part = fleet.load_parts(model, "slow", weights=fleet.HERE / "weights.safetensors")[0]
    for name, value in model.state_dict().items():
        expected = stored[name] if name in part.state_dict() else before[name]
        assert torch.equal(value, expected)


@pytest.mark.parametrize(
    ("fleet", "arguments", "words"),
    [
        ("splitfed", {"party": "nobody"}, "no party 'nobody'; choose one of fast-1"),
        ("mixed", {"party": "s0"}, "different parts for different clients; say for which one: d0"),
        ("splitfed", {"party": "gateway", "client": "far"}, "holds no part of 'far'"),
        ("splitfed", {"party": "fast-1", "client": "fast-2"}, "holds no part of 'fast-2'"),
    ],
)
def test_wrong_parties_are_refused(exports, model, fleet, arguments, words):
    with pytest.raises(ValueError, match=words):
        exports[fleet].load_parts(model, **arguments)


def test_other_models_are_refused(exports):
    """Names and shapes of all parameters must be the plan's."""
    for other, words in (
        (build("cnn", (1, 28, 28)), r"'fc1.linear.weight' has the shape \[64, 784\] and not"),
        (nn.Linear(3, 2), "'conv1.conv.weight' is missing"),
        (nn.Sequential(build("cnn", (1, 8, 8))), "is missing"),
    ):
        with pytest.raises(ValueError, match=words):
            exports["clusters"].load_parts(other, "slow")
    further = build("cnn", (1, 8, 8))
    further.extra = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"'extra.weight' is unknown"):
        exports["clusters"].load_chain(further, "slow")


def safetensors_file(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 9,
        struct.pack("<Q", 4) + b"{{{{",
        safetensors_file([]),
        safetensors_file({"other": GOOD}, bytes(8)),
        safetensors_file({"w": GOOD}, bytes(7)),
        safetensors_file({"w": GOOD | {"shape": [3]}}, bytes(12)),
        safetensors_file({"w": GOOD | {"shape": [-1], "data_offsets": [0, -4]}}, bytes(12)),
        safetensors_file({"w": GOOD | {"dtype": "X9"}}, bytes(8)),
        safetensors_file({"w": {"shape": [2]}}, bytes(8)),
        safetensors_file({"w": 3}, bytes(8)),
    ],
)
def test_damaged_weights_are_refused(tmp_path, exports, content):
    """The written reader of safetensors trusts no number of the file."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is no safetensors file with these weights"):
        exports["clusters"].read_weights(path, ["w"])


def test_good_weights_are_read(tmp_path, exports):
    """Every type that networks have, and scalars and empty tensors."""
    from safetensors.torch import save_file

    tensors = {
        "a": torch.randn(2, 3), "b": torch.randn(3).bfloat16(), "c": torch.tensor(7),
        "d": torch.empty(0, 4), "e": torch.tensor([True, False]), "f": torch.randn(2).double(),
    }  # fmt: skip
    save_file(tensors, tmp_path / "w.safetensors")
    found = exports["clusters"].read_weights(tmp_path / "w.safetensors", list(tensors))
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_trained_parts_are_saved_by_client(exports, model, tmp_path):
    """Into a folder of the client, or for all; what is no part and no client is refused."""
    fleet = exports["pipeline"]
    parts = fleet.load_parts(model, "owner-3")
    paths = fleet.save_parts(tmp_path / "trained", parts, "owner-3")
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "trained/owner-3/Part1.safetensors",
        "trained/owner-3/Part4.safetensors",
    ]
    other = build("cnn", (1, 8, 8))
    again = fleet.load_parts(other, "owner-3", weights=tmp_path / "trained" / "owner-3")
    for one, two in zip(parts, again, strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(two.state_dict()[name], value)
    assert fleet.save_parts(tmp_path, parts[:1]) == [tmp_path / "Part1.safetensors"]
    with pytest.raises(ValueError, match="there is no client 'large'; choose one of owner-1"):
        fleet.save_parts(tmp_path, parts, "large")
    with pytest.raises(ValueError, match="a Linear is none of the parts"):
        fleet.save_parts(tmp_path, [nn.Linear(2, 2)])
