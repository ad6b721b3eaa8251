"""A pipeline as PipeEdge's files: read back, and held against PipeEdge's own formulas."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import yaml

import splitopt
from splitopt import Scenario
from splitopt.errors import CapabilityError, InputError
from splitopt.export import export_plan
from splitopt.export.importing import import_plan
from splitopt.profiles import load_profile, read


def planned(**changes):
    """Return the plan of a pipeline with two alike nodes and another one."""
    document = Scenario.load("digits-pipeline").to_dict()
    small, large = document["nodes"]
    document["nodes"] = [{**small, "count": 2}, large]
    document["pipeline"]["use_all_nodes"] = False
    return splitopt.plan(Scenario.from_dict(document | changes))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    made, folder = planned(), tmp_path_factory.mktemp("pipeedge") / "out"
    export_plan(made, folder, to="pipeedge")
    return made, folder


def loaded(folder, name):
    return yaml.safe_load((folder / f"{name}.yml").read_text())


def test_its_scheduler_would_count_what_the_plan_promises(exported):
    """Compute and communication of each stage by PipeEdge's formulas, from the files alone."""
    made, folder = exported
    model = loaded(folder, "models")["cnn-digits"]
    types, devices = loaded(folder, "device_types"), loaded(folder, "devices")
    of_host = {host: name for name, hosts in devices.items() for host in hosts}
    assert sorted(of_host) == ["large", "small-1", "small-2"]
    stages = [next(iter(stage.items())) for stage in loaded(folder, "schedule")]
    assert stages[0][1][0] == 1
    assert stages[-1][1][1] == model["layers"]
    for (_, (_, end)), (_, (start, _)) in pairwise(stages):
        assert start == end + 1
    batch = made.prediction["batch_size"]
    for (host, (start, end)), node in zip(stages, made.prediction["nodes"], strict=True):
        [profile] = types[of_host[host]]["model_profiles"]["cnn-digits"]
        assert (profile["batch_size"], profile["dtype"]) == (batch, "torch.float32")
        assert (host, end - start + 1) == (node["name"], node["layers"])
        seconds = sum(profile["time_s"][start - 1 : end])
        assert seconds == pytest.approx(node["forward_s"], rel=1e-12)
        memory = sum(model["mem_MB"][start - 1 : end]) * 1024 * 1024
        assert memory == pytest.approx(node["memory_bytes"], rel=1e-12)
        assert types[of_host[host]]["mem_MB"] * 1024 * 1024 == node["memory_limit_bytes"]
    pairs = zip(pairwise(stages), made.prediction["hops"], strict=True)
    for ((one, (_, end)), (two, _)), hop in pairs:
        rate = min(types[of_host[host]]["bw_Mbps"] for host in (one, two)) * 1024 * 1024 / 8
        seconds = 4 * batch * model["parameters_out"][end - 1] / rate
        assert seconds == pytest.approx(hop["up_s"], rel=1e-12)


def test_the_files_are_read_back(exported):
    """The plan as it was, and its layers as a profile."""
    made, folder = exported
    assert import_plan(folder) == made
    profile = read(folder / "models.yml")
    batch, whole = made.prediction["batch_size"], load_profile("cnn-digits")
    first, last = made.prediction["first_cut"], made.prediction["last_cut"]
    np.testing.assert_allclose(
        profile.smashed_bytes[:-1], whole.smashed_bytes[first : last - 1], rtol=0
    )
    timed = read(folder / "device_types.yml", profile, batch=batch, machine="large")
    assert timed.machines["large"].forward_s[1] * batch == pytest.approx(0.0294912)


def test_what_pipeedge_cannot_say_is_refused(tmp_path):
    """Other problems, and links that are no rate of a device type; nothing is written over."""
    made = splitopt.plan(Scenario.load("digits-splitfed"))
    with pytest.raises(CapabilityError, match="and PipeEdge runs pipelines"):
        export_plan(made, tmp_path / "out", to="pipeedge")
    links = Scenario.load("digits-pipeline").to_dict()["links"]
    for nodes in ({"model": "none"}, {"model": "serial", "rate": "2 Mbit/s"}):
        made = planned(links={**links, "nodes": nodes})
        with pytest.raises(CapabilityError, match=f"links.nodes: is '{nodes['model']}', and Pipe"):
            export_plan(made, tmp_path / "out", to="pipeedge")
    assert not (tmp_path / "out").exists()
    made = planned(links={**links, "nodes": {"model": "nic", "rate": "2 Mbit/s"}})
    export_plan(made, tmp_path / "out", to="pipeedge")
    with pytest.raises(InputError, match="--force"):
        export_plan(made, tmp_path / "out", to="pipeedge")


@pytest.mark.slow  # a process of its own
def test_it_needs_no_pytorch():
    """The files are of the plan alone, so that the module loads where PyTorch is not installed."""
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import splitopt.export.pipeedge, splitopt.export.importing"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
