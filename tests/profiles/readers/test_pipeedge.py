"""PipeEdge's models and device types, read in the form that its scheduler documents."""

from __future__ import annotations

import numpy as np
import pytest

import splitopt
from splitopt.errors import InputError
from splitopt.profiles import read

MODELS = """\
Dummy:
  layers: 0
  mem_MB: []
  parameters_in: 0
  parameters_out: []
vit:
  layers: 4
  mem_MB: [1, 2.5, 0.5, 4]
  parameters_in: 100
  parameters_out: [200, 50]
"""
TYPES = """\
Dummy:
  bw_Mbps: 0
  mem_MB: 0
  model_profiles:
board:
  bw_Mbps: 1000
  mem_MB: 2048
  model_profiles:
    vit:
    - {batch_size: 1, dtype: torch.float32, time_s: [9, 9, 9, 9]}
    - {batch_size: 8, dtype: torch.float32, time_s: [0.8, 1.6, 0.0, 2.4]}
    - {batch_size: 8, dtype: torch.float16, time_s: [7, 7, 7, 7]}
pc:
  bw_Mbps: 1000
  mem_MB: 2048
  model_profiles:
    vit:
    - {batch_size: 8, dtype: torch.float32, time_s: [0.4, 0.8, 0.4, 1.2]}
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "models.yml").write_text(MODELS)
    (tmp_path / "device_types.yml").write_text(TYPES)
    return tmp_path / "models.yml", tmp_path / "device_types.yml"


def test_a_model_and_the_times_of_its_types_are_read(files):
    """Numbers of float32, MiB, seconds of a micro-batch; a block of outputs is repeated."""
    models, types = files
    profile = read(models)
    assert (profile.name, profile.layers[0], profile.layer_count) == ("vit", "layer-1", 4)
    assert profile.layer_output_bytes.tolist() == [800, 200, 800, 200]
    assert profile.smashed_bytes.tolist() == [800, 200, 800, 0]
    assert not profile.gradient_bytes.any()
    assert profile.layer_parameter_bytes.tolist() == [2**20, 2.5 * 2**20, 2**19, 2**22]
    profile = read(types, profile, batch=8, machine="board")
    profile = read(types, profile, batch=8, machine="pc")
    board, pc = profile.machines["board"], profile.machines["pc"]
    np.testing.assert_allclose(8 * board.forward_s, [0.8, 1.6, 0, 2.4])
    np.testing.assert_allclose(8 * pc.forward_s, [0.4, 0.8, 0.4, 1.2])
    assert board.measured.tolist() == [True, True, False, True]
    assert not board.backward_s.any()
    assert len(profile.provenance.notes) == 4


def test_a_pipeline_is_planned_by_them(files, tmp_path):
    """Two nodes share what the owner leaves, a layer each, and nothing comes back."""
    models, types = files
    read(types, read(models), batch=8, machine="pc").save(tmp_path / "vit.json")
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "two",
        "model": str(tmp_path / "vit.json"),
        "devices": [{"name": "owner", "machine": "pc", "samples": 64, "batch_size": 8}],
        "links": {"downlink": "1 Gbit/s", "uplink": "1 Gbit/s", "nodes": "1 Gbit/s"},
        "nodes": [{"name": "node", "count": 2, "machine": "pc"}],
        "pipeline": {
            "first_cut": 1,
            "last_cut": 3,
            "memory": "outputs",
            "use_all_nodes": True,
        },
        "training": {"epochs": 1, "rounds": 1},
    }
    plan = splitopt.plan(splitopt.Scenario.from_dict(document))
    found = [(node["forward_s"], node["backward_s"]) for node in plan.prediction["nodes"]]
    np.testing.assert_allclose(found, [(0.8, 0), (0.4, 0)])


@pytest.mark.parametrize(
    ("spoiled", "by", "words"),
    [
        ("layers: 4", "layers: 5", "mem_MB: must be a list with 5 entries, found 4 entries"),
        ("layers: 4", "layers: 1.5", "layers: is 1.5; give a whole number from 1"),
        ("layers: 4", "layers: 100001", "give a whole number from 1 to 100,000"),
        ("2.5", "-2.5", r"mem_MB\[1\]: is -2.5; give a finite number >= 0"),
        ("[200, 50]", "[200, x]", r"parameters_out\[1\]: is 'x', which is not a number"),
        ("[200, 50]", "[]", "parameters_out: must be a list with 4 entries, found 0 entries"),
        ("[200, 50]", "[1, 2, 3, 4, 5]", "parameters_out: must be a list with 4 entries"),
        ("  parameters_in: 100\n", "", "lacks 'parameters_in'"),
        ("layers: 0", "layers: 2", "holds Dummy, vit; name one of its models: model="),
        ("vit:", "Dummy:", "Dummy"),
    ],
)
def test_a_spoiled_model_is_refused(files, spoiled, by, words):
    models, _ = files
    models.write_text(MODELS.replace(spoiled, by))
    with pytest.raises(InputError, match=words):
        read(models)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"batch": 4, "machine": "pc"}, "no times for a micro-batch of 4 of torch.float32; it has"),
        ({"batch": 8}, "times of vit are there for board, pc; name one of them"),
        ({"batch": 8, "machine": "bord"}, "no device type 'bord'; did you mean 'board'"),
        ({"batch": 8, "machine": "Dummy"}, "times of vit are there for board, pc; name one"),
        ({"machine": "pc"}, "holds times only; give the profile"),
    ],
)
def test_times_that_are_not_there_are_named(files, given, words):
    models, types = files
    with pytest.raises(InputError, match=words):
        read(types, read(models), **given)


def test_a_second_machine_of_a_name_and_other_layers_are_refused(files):
    models, types = files
    profile = read(types, read(models), batch=8, machine="pc")
    with pytest.raises(InputError, match="has a machine 'pc' already"):
        read(types, profile, batch=8, machine="pc")
    types.write_text(TYPES.replace("[0.4, 0.8, 0.4, 1.2]", "[0.4, 0.8]"))
    with pytest.raises(InputError, match="time_s: must be a list with 4 entries, found 2"):
        read(types, read(models), batch=8, machine="pc")
    types.write_text(
        TYPES.replace("    - {batch_size: 8, dtype: torch.float32, time_s: [0.4", "    {x: [0")
    )
    with pytest.raises(InputError):
        read(types, read(models), batch=8, machine="pc")


def test_other_yaml_is_no_profile(tmp_path):
    for text in ("a: 1\n", "a: {}\n", "a: [1]\n"):
        (tmp_path / "x.yml").write_text(text)
        with pytest.raises(InputError, match="is no profile that splitopt knows"):
            read(tmp_path / "x.yml")
