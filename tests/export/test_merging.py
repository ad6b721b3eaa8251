"""Trained parts put together: bit for bit the whole, averages by hand, and what is refused."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.cli.entry import run  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.export import export_plan, merge_parts  # noqa: E402
from splitopt.export.folder import write_folder  # noqa: E402
from splitopt.export.registry import exporter  # noqa: E402
from splitopt.export.written.loader import folder_of  # noqa: E402
from splitopt.models import build  # noqa: E402

pytestmark = pytest.mark.train

CHANGE = '''
def change(modules):
    """Train by a rule that every tensor follows by itself, so that the whole can follow it too."""
    import torch

    seen = set()
    with torch.no_grad():
        for module in modules:
            for value in (*module.parameters(), *module.buffers()):
                if id(value) not in seen:
                    seen.add(id(value))
                    if value.is_floating_point():
                        value.mul_(1.3).sub_(0.17)
                    else:
                        value.add_(5)
'''
exec(CHANGE)

TRAIN = """
from model import build
from parts import load_parts, save_parts

for party in PARTIES:
    model = build()
    parts = load_parts(model, party, CLIENT, weights="weights.safetensors")
    change(parts)
    print(*[path.name for path in save_parts("trained", parts)])
"""


class Everything(nn.Module):
    """Statistics, counts, a mask with infinities, a buffer that is not saved, one weight twice."""

    def __init__(self):
        super().__init__()
        self.one, self.norm = nn.Linear(6, 6), nn.BatchNorm1d(6)
        self.two, self.again, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.again.weight = self.two.weight
        self.register_buffer("mask", torch.tensor([0.0, float("-inf"), 0, 0, 0, 0]))
        self.register_buffer("hidden", torch.ones(6), persistent=False)

    def forward(self, x):
        x = torch.relu(self.norm(self.one(x)) * self.hidden)
        x = self.again(torch.tanh(self.two(x)))
        return self.head(torch.softmax(x + self.mask, -1))


def stored(path):
    from safetensors.torch import load_file

    return load_file(path)


def store(state, path):
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.clone() for name, value in state.items()}, path)


def same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), name
        assert one[name].dtype == two[name].dtype


@pytest.mark.slow
def test_parts_of_all_parties_are_the_whole(tmp_path, plans, alone):
    """Every party loads, changes and saves its own parts without splitopt."""
    torch.manual_seed(1)
    model = build("cnn", (1, 8, 8))
    store(model.state_dict(), tmp_path / "given.safetensors")
    folder = tmp_path / "parts"
    export_plan(plans["pipeline"], folder, weights=tmp_path / "given.safetensors")
    client = json.loads((folder / "parts.json").read_text())["clients"][1]
    parties = {link["party"] for link in client["chain"]}
    code = CHANGE + TRAIN.replace("PARTIES", repr(sorted(parties))).replace("CLIENT", "'owner-2'")
    ran = alone(code, folder)
    assert sorted(ran.stdout.split()) == [f"Part{n}.safetensors" for n in (1, 2, 3, 4)]
    (folder / "parts.py").write_text("raise SystemExit('code of the folder was run')")
    (folder / "model.py").write_text("raise SystemExit('code of the folder was run')")
    merged = merge_parts(folder, tmp_path / "out.safetensors", trained=folder / "trained")
    change([model])  # noqa: F821
    same(stored(tmp_path / "out.safetensors"), model.state_dict())
    assert merged.averaged == ()
    assert sum(merged.shares.values()) == pytest.approx(1.0)
    model.load_state_dict(stored(tmp_path / "out.safetensors"))
    again = export_plan(plans["pipeline"], tmp_path / "more", weights=tmp_path / "out.safetensors")
    assert "weights.safetensors" in again["files"]


@pytest.fixture
def everything(tmp_path, job_for):
    """Return the model, and its export for two clients with different cuts and samples."""
    torch.manual_seed(2)
    model = Everything()
    x = torch.randn(4, 6)
    cuts = job_for(model, x, [()]).split.cuts
    few = [(cuts[0],), (cuts[0], cuts[-1])]
    folder = tmp_path / "parts"
    write_folder(folder, exporter("torch")(job_for(model, x, few)))
    manifest = json.loads((folder / "parts.json").read_text())
    manifest["clients"][1]["samples"] = 30
    (folder / "parts.json").write_text(json.dumps(manifest))
    return model, folder


def parts_of(folder, client):
    """Return the names of the tensors in each part of a client, by the rule of the manifest."""
    manifest = json.loads((folder / "parts.json").read_text())
    takes = {part["name"]: part["takes"] for part in manifest["parts"]}
    chain = next(item["chain"] for item in manifest["clients"] if item["name"] == client)
    return {link["part"]: takes[link["part"]] for link in chain}


def save_as_client(folder, client, state):
    for part, takes in parts_of(folder, client).items():
        own = {
            name: value
            for name, value in state.items()
            if any(name == item or name.startswith(f"{item}.") for item in takes)
        }
        store(own, folder / folder_of(client) / f"{part}.safetensors")


def copies_of(model, count=2):
    """Return models that differ in everything but their names."""
    found = []
    for seed in range(count):
        torch.manual_seed(10 + seed)
        other = copy.deepcopy(model)
        for value in other.parameters():
            value.data = torch.randn_like(value)
        other.again.weight = other.two.weight
        other.norm.num_batches_tracked += 3 + seed
        other.norm.running_mean += seed
        found.append(other.state_dict())
    return found


def test_copies_with_other_cuts_are_averaged_by_hand(everything):
    """By samples, uniform, and for one client alone; whole numbers are of the heaviest."""
    model, folder = everything
    one, two = copies_of(model)
    save_as_client(folder, "d0", one)
    save_as_client(folder, "d1", two)
    for how, shares in (("samples", (0.25, 0.75)), ("uniform", (0.5, 0.5))):
        merged = merge_parts(folder, average=how)
        assert tuple(merged.shares.values()) == shares
        assert merged.state.keys() == model.state_dict().keys()
        for name, value in merged.state.items():
            if name == "norm.num_batches_tracked":
                assert value == {"samples": 4, "uniform": 3}[how]
            elif name == "mask":
                assert torch.equal(value, model.mask)
            else:
                a, b = one[name].double().numpy(), two[name].double().numpy()
                mean = shares[0] * a + shares[1] * b
                np.testing.assert_allclose(value.numpy(), mean, rtol=1e-6, atol=1e-6)
        assert "mask" not in merged.averaged
        assert "head.bias" in merged.averaged
        model.load_state_dict(merged.state)
    same(merge_parts(folder, clients=["d1"]).state, two)
    save_as_client(folder, "d1", one)
    same(merge_parts(folder).state, one)  # alike, so nothing is rounded


def test_a_shared_part_weighs_as_its_clients_together(everything):
    """A server that keeps one part for all, beside devices with their own."""
    model, folder = everything
    one, two = copies_of(model)
    save_as_client(folder, "d0", one)
    save_as_client(folder, "d1", two)
    first = next(iter(parts_of(folder, "d0")))
    (folder / "d0" / f"{first}.safetensors").rename(folder / f"{first}.safetensors")
    (folder / "d1" / f"{first}.safetensors").unlink()
    merged = merge_parts(folder)
    assert torch.equal(merged.state["one.weight"], one["one.weight"])
    mean = 0.25 * one["head.weight"] + 0.75 * two["head.weight"]
    assert torch.allclose(merged.state["head.weight"], mean, atol=1e-6)


def spoil(path, **tensors):
    store(
        {**stored(path), **{name.replace("__", "."): item for name, item in tensors.items()}}, path
    )


def test_what_does_not_fit_is_one_sentence(capsys, tmp_path, everything):
    """Missing, twice, unknown, of another shape or type, not finite, no weights at all."""
    model, folder = everything
    one, two = copies_of(model)

    def said(*arguments):
        out = tmp_path / "out.safetensors"
        assert run(["merge", str(folder), "-o", str(out), *arguments]) == 2
        assert not out.exists()
        err = capsys.readouterr().err
        assert len(err.strip().splitlines()) == 1, err
        return err

    first, last = parts_of(folder, "d0")
    assert f"{first} of d0 is missing, neither d0/{first}.safetensors nor" in said()
    save_as_client(folder, "d0", one)
    assert "of d1 is missing" in said()
    assert "there is no 'd3'; the clients are d0, d1" in said("--clients", "d3")
    assert "must be one of samples, uniform" in said("--average", "median")
    save_as_client(folder, "d1", two)
    path = folder / "d0" / f"{last}.safetensors"
    spoiled = (
        ({"head__weight": torch.zeros(3, 7)}, "has the shape (3, 7) and the model's has (3, 6)"),
        ({"head__weight": torch.zeros(3, 6, dtype=torch.int32)}, "is of type int32"),
        ({"norm__num_batches_tracked": torch.tensor(1.0)}, "is of type float32"),
        ({"head__bias": torch.tensor([1.0, float("nan"), 0])}, "holds numbers that are not finite"),
        ({"head__bias": torch.zeros(3).half()}, "in different types (float16, float32)"),
        ({"again__weight": torch.zeros(6, 6)}, "are one tensor in the model and have different"),
        ({"one__weight": torch.zeros(6, 6)}, f"holds 'one.weight', which is no tensor of {last}"),
    )
    for tensors, words in spoiled:
        spoil(path, **tensors)
        assert words in said(), words
        save_as_client(folder, "d0", one)
    store({name: value for name, value in stored(path).items() if name != "head.bias"}, path)
    assert f"'head.bias' of {last} is missing" in said()
    save_as_client(folder, "d0", one)
    store({}, folder / f"{last}.safetensors")
    assert f"{last} of d0 is there twice" in said()
    (folder / f"{last}.safetensors").rename(folder / "Part77.safetensors")
    assert "the export has no part 'Part77'" in said()
    (folder / "Part77.safetensors").unlink()
    store({}, folder / "d2" / f"{last}.safetensors")
    assert "there is no client of that name" in said()
    (folder / "d2" / f"{last}.safetensors").unlink()
    path.write_bytes(pickle.dumps({"head.bias": 1}))
    assert "is no readable safetensors file" in said()
    assert "there is no such" in said("--trained", str(folder / "nowhere"))


def test_what_is_no_export_is_refused(everything, tmp_path):
    """No manifest, one of another kind, and manifests that contradict themselves."""
    model, folder = everything
    for client in ("d0", "d1"):
        save_as_client(folder, client, model.state_dict())
        for path in (folder / client).iterdir():
            path.rename(folder / path.name)
    same(merge_parts(folder).state, model.state_dict())
    with pytest.raises(InputError, match=r"holds no parts.json; name the folder of an export"):
        merge_parts(tmp_path)
    path = folder / "parts.json"
    manifest = json.loads(path.read_text())
    one, two = manifest["clients"]
    for key, value, words in (
        ("format", "splitopt-plan", "is a plan, .* here a manifest of parts is needed"),
        ("version", 2, "version"),
        ("parts", [], "which is no part; export again"),
        ("parts", manifest["parts"] * 2, "two have the same name"),
        ("clients", "d0", "clients"),
        ("clients", [{**one, "chain": one["chain"][:1]}, two], "no part of d0 holds 'norm.weight'"),
        ("clients", [{**one, "chain": []}, two], "no part of d0 holds 'one.weight'"),
        ("clients", [], "is empty"),
        ("model", {**manifest["model"], "tied": {"a": "b"}}, "'a' is tied to no tensor"),
        ("model", {**manifest["model"], "tensors": {"a": [1, "b"]}}, "has no type and shape"),
        ("model", {**manifest["model"], "tensors": {"a": []}}, "tensors"),
    ):
        path.write_text(json.dumps({**manifest, key: value}))
        with pytest.raises(InputError, match=words):
            merge_parts(folder)


def test_tensors_that_no_part_uses_are_of_the_export(tmp_path, job_for):
    """A layer that the forward pass leaves out has its value from the weights of the export."""

    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.spare = nn.Linear(6, 6), nn.Linear(6, 3), nn.Linear(2, 2)

        def forward(self, x):
            return self.two(torch.relu(self.one(x)))

    model, x = Spare(), torch.randn(4, 6)
    state = model.state_dict()
    for weights in (None, state):
        job = job_for(model, x, [("one",)], weights=weights)
        write_folder(tmp_path / "parts", exporter("torch")(job), force=True)
        for part, name in (("Part1", "one"), ("Part2", "two")):
            own = {key: value + 1 for key, value in state.items() if key.startswith(name)}
            store(own, tmp_path / "trained" / f"{part}.safetensors")
        if weights is None:
            with pytest.raises(InputError, match=r"no part uses 'spare\.weight'"):
                merge_parts(tmp_path / "parts", trained=tmp_path / "trained")
    merged = merge_parts(tmp_path / "parts", trained=tmp_path / "trained").state
    assert torch.equal(merged["spare.weight"], state["spare.weight"])
    assert torch.equal(merged["one.bias"], state["one.bias"] + 1)


def test_names_of_clients_are_names_of_folders():
    """Whatever a client is called, its folder stands in the folder and is not hidden."""
    assert folder_of("fast-1") == "fast-1"
    for name in ("..", ".", "a/b", "a\\b", ".git", "C:x", "ein Gerät"):
        assert not set(folder_of(name)) & set("/\\: ")
        assert not folder_of(name).startswith(".")
    assert len({folder_of(name) for name in ("..", "%2E.", ".", "%2E")}) == 4


def test_merging_prints_who_weighs_what(capsys, tmp_path, everything):
    """A table for people, one object for machines."""
    model, folder = everything
    one, two = copies_of(model)
    save_as_client(folder, "d0", one)
    save_as_client(folder, "d1", two)
    out = str(tmp_path / "out.safetensors")
    assert run(["merge", str(folder), "-o", out]) == 0
    printed = capsys.readouterr().out
    assert "75 %" in printed
    assert "14 tensors, 12 of them averaged" in " ".join(printed.split())
    assert run(["merge", str(folder), "-o", out, "--clients", "d1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["clients"], found["averaged"]) == ({"d1": 1.0}, [])
    same(stored(out), two)
