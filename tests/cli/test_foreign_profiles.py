"""Files of other programs as models of scenarios, and as profiles written anew."""

from __future__ import annotations

import json

import pytest
import yaml

from splitopt.cli.entry import run
from splitopt.profiles import load_profile, read
from tests.profiles.readers.test_distilp import FLOP, profile_of
from tests.profiles.readers.test_piper import WORKLOAD, edge, tmpcs

NODES = {
    "devices": [
        {"name": "owner", "machine": "gpu", "samples": 8, "batch_size": 4},
    ],
    "nodes": [{"name": "node", "machine": "gpu", "count": 2}],
    "links": {
        "uplink": {"rate": "1 Gbit/s"},
        "downlink": {"rate": "1 Gbit/s"},
        "nodes": {"model": "nic", "rate": "1 Gbit/s"},
    },
}


@pytest.fixture
def folder(tmp_path):
    """Provide the files, with a scenario that is written beside them."""
    (tmp_path / "piper.json").write_text(json.dumps(WORKLOAD))
    (tmp_path / "model.json").write_text(json.dumps(profile_of()))

    def scenario(model, **sections):
        head = {"format": "splitopt-scenario", "version": 1, "name": "foreign", "model": model}
        path = tmp_path / "scenario.yaml"
        path.write_text(yaml.safe_dump(head | {"training": {"rounds": 3}} | sections))
        return str(path)

    return tmp_path, scenario


ACCELERATORS = {
    "name": "gpu", "count": 2, "machine": "gpu", "rate": "1 Gbit/s", "batch_size": 4,
    "micro_batches": 8,
}  # fmt: skip
PIPER = {"file": "piper.json", "batch_size": 4, "unit": "ms"}


def test_a_plan_of_a_workload_of_piper(folder, capsys):
    """6 + 3 ms on one, 9 ms on the other; 20 B of the output and as many of its gradient.

    At 1 Gbit/s = 125 MB/s these 40 B take 0.32 us, so that a micro-batch leaves every 9.00032 ms;
    no other division of three layers over two machines has less than 9 ms of work on both.
    """
    path, scenario = folder
    plan = str(path / "plan.json")
    assert run(["plan", scenario(PIPER, accelerators=ACCELERATORS), "-o", plan, "--json"]) == 0
    capsys.readouterr()
    found = json.loads((path / "plan.json").read_text())
    assert found["result"]["objective"] == pytest.approx(9e-3 + 40 / 125e6, rel=1e-9)
    assert run(["simulate", plan]) == 0
    assert "8 micro-batches" in capsys.readouterr().out


def test_a_pipeline_cuts_where_it_is_told(folder, capsys):
    """Behind every layer by default; an edge that jumps leaves no cut where one tensor crosses."""
    path, scenario = folder
    chain = [{"id": n, "TMPCs": tmpcs(2.0 + n, 8.0, 16.0)} for n in range(6)]
    steps = [(n, n + 1) for n in range(5)] + [(0, far) for far in (2, 3, 4, 5)]
    edges = [edge(*ends, 80.0) for ends in steps]
    (path / "piper.json").write_text(json.dumps({**WORKLOAD, "nodes": chain, "edges": edges}))
    assert run(["plan", scenario(PIPER, **NODES), "-o", str(path / "plan.json")]) == 0
    assert "of 6 layers" in capsys.readouterr().out
    cuts = {"pipeline": {"boundaries": "cuts"}}
    assert run(["plan", scenario(PIPER, **NODES, **cuts)]) == 1
    assert "no pair of cuts leaves a layer to the nodes" in capsys.readouterr().out
    assert run(["plan", scenario({"file": "model.json"}, **NODES, **cuts)]) == 2
    assert "'boundaries' is for a graph of PipeDream or Piper" in capsys.readouterr().err


def test_a_plan_of_a_profile_of_distilp(folder, capsys):
    """The device's part of the planned cut has the work of so many decoder layers."""
    path, scenario = folder
    star = {
        "devices": [{"name": "a", "compute": "1 MFLOP/s", "samples": 8, "batch_size": 4}],
        "servers": [{"name": "s", "compute": "100 MFLOP/s"}],
        "links": {"uplink": {"rate": "1 Mbit/s"}, "downlink": {"rate": "1 Mbit/s"}},
    }
    given = scenario({"file": "model.json"}, **star)
    assert run(["plan", given, "-o", str(path / "plan.json")]) == 0
    capsys.readouterr()
    document = json.loads((path / "plan.json").read_text())
    (row,) = document["prediction"]["devices"]
    # forward and backward pass, together three times the forward pass of each layer
    assert row["device_s"] == pytest.approx(8 * row["cut"] * 3 * FLOP / 1e6, rel=1e-6)


def test_mistakes_of_the_model_section(folder, capsys):
    """Each in one sentence that names the field or the file."""
    _, scenario = folder
    for model, words in (
        ({"file": "piper.json", "batch_size": 4}, "is a workload of Piper; say for how many"),
        (PIPER | {"unit": "h"}, "model.unit"),
        (PIPER | {"batch_size": 0}, "model.batch_size"),
        ({"file": "model.json", "batch_size": 4}, "needs no size of a batch; leave it out"),
        ({"file": "model.json", "unit": "s"}, "'unit' is for Piper's workloads"),
        ({"profile": "vgg19-cifar", "unit": "s"}, "unit: is of a 'file'"),
    ):
        assert run(["plan", scenario(model, accelerators=ACCELERATORS)]) == 2
        assert words in capsys.readouterr().err


def test_profiles_shows_and_converts(folder, capsys):
    """What is written is what was read, and no file is written over itself."""
    path, _ = folder
    source, made = str(path / "piper.json"), path / "made.json"
    said = ["--batch", "4", "--unit", "ms"]
    assert run(["profiles", source, *said, "--boundaries", "graph", "-o", str(made)]) == 0
    assert "conv-7" in capsys.readouterr().out
    assert load_profile(made) == read(source, batch=4, unit="ms", boundaries="graph")
    for arguments, words in (
        ([source], "say for how many samples"),
        ([source, *said, "-o", source], "piper.json"),
        ([source, *said, "-o", str(path / "made.txt")], "ends in .json"),
        ([str(path / "model.json"), "--batch", "4"], "needs no size of a batch"),
        (["vgg19-cifar", "--batch", "4"], "is the name of a shipped profile"),
        (["--batch", "4"], "are about one profile; name it"),
    ):
        assert run(["profiles", *arguments]) == 2
        assert words in capsys.readouterr().err
