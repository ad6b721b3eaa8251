"""Machine models in a scenario: files, their content, and one source of speed for each machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from splitopt import Scenario
from splitopt.errors import InputError
from splitopt.profiles import Interval, MachineModel

MODEL = MachineModel(
    "pi", 8, (1e-10, 0.0, 5e-10, 1e-9, 1e-9, 1e-5), 1e-3, Interval(0.9, 0.8, 1.3, "by hand")
)
TEXT = """
format: splitopt-scenario
version: 1
model: cnn-digits
devices:
- {{name: a, samples: 100, machine_model: {model}}}
servers: [{{name: s, compute: 1 TFLOP/s}}]
links: {{downlink: 10 Mbit/s, uplink: 10 Mbit/s}}
"""


def written(tmp_path, model):
    MODEL.save(tmp_path / "pi.json")
    path = tmp_path / "fleet.yaml"
    path.write_text(TEXT.format(model=model))
    return path


@pytest.mark.parametrize(("model", "batch"), [("pi.json", 8), ("{file: pi.json, batch: 16}", 16)])
def test_a_file_is_read_beside_the_scenario(tmp_path, model, batch):
    """The scenario holds its content, and is read again without the file."""
    found = Scenario.load(written(tmp_path, model))
    assert found.devices[0].speed == replace(MODEL, batch=batch)
    found.save(tmp_path / "again.yaml")
    (tmp_path / "pi.json").unlink()
    again = Scenario.load(tmp_path / "again.yaml")
    assert again.devices[0].machine_model == replace(MODEL, batch=batch)
    assert again == found


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("other.json", r"other.json: "),
        (
            "{file: pi.json, size: 3}",
            r"devices\[0\] \(a\).machine_model: has the unknown key 'size'",
        ),
        (
            "{file: pi.json, batch: 0}",
            r"devices\[0\] \(a\).machine_model.batch: is 0; give a whole",
        ),
        ("{file: 3}", r"devices\[0\] \(a\).machine_model.file: is 3; give the name of a file"),
        ("pi.json, compute: 1 GFLOP/s", r"devices\[0\] \(a\): needs exactly one of 'compute'"),
        ("pi.json, machine: d1", r"devices\[0\] \(a\): needs exactly one of 'compute'"),
        ("{name: x}", r"devices\[0\] \(a\).machine_model: "),
    ],
)
def test_wrong_machine_models_are_refused(tmp_path, model, words):
    """One sentence with the field and the mend."""
    with pytest.raises(InputError, match=words):
        Scenario.load(written(tmp_path, model))


def test_plain_data_names_no_file(tmp_path):
    """There is no folder that a name could be relative to."""
    document = Scenario.load(written(tmp_path, "pi.json")).to_dict()
    document["devices"][0]["machine_model"] = "pi.json"
    with pytest.raises(InputError, match=r"'pi.json' names a file, which only a scenario file can"):
        Scenario.from_dict(document)


def test_a_node_may_be_slower_than_its_model(tmp_path):
    """As a measured machine may, and a stated speed may not."""
    document = Scenario.load(written(tmp_path, "pi.json")).to_dict()
    node = {"name": "n", "machine_model": MODEL.to_dict(), "slowdown": 2.0}
    found = Scenario.from_dict({**document, "nodes": [node]})
    assert found.nodes[0].slowdown == 2.0
    assert found.nodes[0].speed == MODEL
