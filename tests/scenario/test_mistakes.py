"""What people write by mistake: every message names place, line, value and mend."""

from __future__ import annotations

import json
import time

import pytest

from splitopt import CutAndResources, InputError, Scenario, load_profile
from splitopt.scenario import Device, Privacy, Training, scenario_names

FLEET = """\
format: splitopt-scenario
version: 1
name: office
model: resnet18-imagenet
devices:
  - {name: pi5, count: 2, compute: 30 GFLOP/s, samples: 3000, batch_size: 32}
  - name: jetson
    compute: 500 GFLOP/s
    samples: 4000
    batch_size: 16
links:
  downlink: 100 Mbit/s
  uplink: 50 Mbit/s
servers:
  - {name: edge, compute: 2 TFLOP/s}
training: {epochs: 1, rounds: 50}
"""


def message_of(tmp_path, *changes):
    """Load the fleet with some of its text replaced, and return what is said without the file."""
    text = FLEET
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Scenario.load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message) <= 1000
    return message.removeprefix(str(path))


JETSON = "devices[1] (jetson)"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "uplink: 50 Mbit/s",
            "uplink: 100",
            ", line 13: links.uplink: 100 has no unit; write it with one, as in '100 Mbit/s'",
        ),
        (
            "    batch_size: 16",
            "    batchsize: 16",
            f", line 10: {JETSON}.batchsize: this field is unknown; did you mean 'batch_size'?",
        ),
        ("links:", "link:", ", line 11: link: this field is unknown; did you mean 'links'?"),
        (
            "uplink: 50 Mbit/s",
            "uplink: {rate: 50 Mbit/s, latency: 5 ms}",
            ", line 13: links.uplink.latency: this field is unknown; the links of devices have "
            "none, a delay of messages belongs to 'links.nodes'",
        ),
        (
            "{name: edge,",
            "{name: gpu, count: 2,",
            ", line 15: servers[0] (gpu).count: this field is unknown; a server has no count; "
            "state several machines as 'nodes', which have one, or one server with the speed of "
            "all",
        ),
        (
            "    samples: 4000",
            "    samples: 4000\n    epochs: 2",
            f", line 10: {JETSON}.epochs: this field is unknown here; it is a field of training",
        ),
        ("4000", "0100", ", line 9: %.samples: is '0100'; leading zeros mean octal"),
        ("4000", "1:40", ", line 9: %.samples: is '1:40'; some readers of YAML take this for"),
        ("4000", "1_000", ", line 9: %.samples: is '1_000'; write 1000, without separators"),
        ("4000", "'4000'", ", line 9: %.samples: is '4000'; write 4000, without quotes"),
        ("4000", "yes", ", line 9: %.samples: is 'yes'; it must be a whole number"),
        ("4000", "1.5e0", ", line 9: %.samples: is 1.5; it must be a whole number"),
        ("500 GFLOP/s", "2.4 GHz", ", line 8: %.compute: '2.4 GHz': 'GHz' is not a unit of"),
        (
            "500 GFLOP/s",
            "5e11",
            ", line 8: %.compute: 500000000000.0 has no unit; write it with one, as in '500 GFL",
        ),
        ("name: jetson", "name: 7", ", line 7: devices[1].name: is 7; it must be a text; write"),
        ("name: jetson", 'name: "x "', ", line 7: devices[1] (x ).name: is 'x '; take out the"),
        (
            "name: jetson",
            'name: "a\\e[2J"',
            ", line 7: devices[1] (a\\x1b[2J).name: is 'a\\x1b[2J'; take out the control character",
        ),
        (
            "training:",
            "objective: sum\ntraining:",
            ", line 16: objective: this field is unknown; i",
        ),
        (
            "uplink: 50 Mbit/s",
            "uplink: 50 Mbit/s\n  shared: no",
            ", line 14: links.shared: is 'no'; write false",
        ),
        ("training:", "7: x\ntraining:", ", line 16: '7': the name of a field is a text; write it"),
        ("epochs: 1", "epochs: true", ", line 16: training.epochs: is True; it must be a whole"),
    ],
)
def test_natural_mistakes(tmp_path, old, new, said):
    """One mistake, one sentence with its line."""
    message = message_of(tmp_path, (old, new))
    assert message.startswith(said.replace("%", JETSON))
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "mend"),
    [("50%", "write 0.5,"), ("12.5 %", "write 0.125,"), ("half", "must be a number")],
)
def test_a_share_is_a_number(tmp_path, text, mend):
    """A percentage is told as a share."""
    message = message_of(tmp_path, ("training:", f"privacy: {{leakage_limit: {text}}}\ntraining:"))
    assert message.startswith(f", line 16: privacy.leakage_limit: is '{text}'; ")
    assert mend in message


def test_operations_per_second_of_a_data_sheet(tmp_path):
    """TOPS are no FLOP/s; how to come by these is said."""
    message = message_of(tmp_path, ("500 GFLOP/s", "40 TOPS"))
    assert "'TOPS' counts integer operations" in message
    assert "splitopt profile --measure" in message


def test_exponents_are_numbers(tmp_path):
    """`1e3` is a number in YAML 1.2, and a thousand samples are a whole number."""
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET.replace("4000", "4e3").replace("500 GFLOP/s", "5e2 GFLOP/s"))
    device = Scenario.load(path).devices[1]
    assert (device.samples, type(device.samples), device.compute) == (4000, int, 5e11)


def test_all_mistakes_are_told_in_the_order_of_the_file(tmp_path):
    """Three mistakes are three lines."""
    message = message_of(
        tmp_path, ("50 Mbit/s", "50 Mbit"), ("    batch_size", "    batchsize"), ("1, r", "x, r")
    )
    assert message.splitlines() == [
        ": 3 mistakes:",
        f"  line 10: {JETSON}.batchsize: this field is unknown; did you mean 'batch_size'?",
        "  line 13: links.uplink.rate: '50 Mbit': 'Mbit' is not a unit of rate; write it as for "
        "example '100 Mbit/s'",
        "  line 16: training.epochs: is 'x'; it must be a whole number",
    ]


@pytest.mark.parametrize(
    ("model", "place"),
    [("resnet-18", "model"), ("{profile: resnet-18, fill: zero}", "model.profile")],
)
def test_a_wrong_name_of_a_profile_is_one_of_the_mistakes(tmp_path, model, place):
    """It stands with its line and the nearest name among the others."""
    message = message_of(tmp_path, ("resnet18-imagenet", model), ("1, r", "x, r"))
    assert message.splitlines() == [
        ": 2 mistakes:",
        f"  line 4: {place}: there is no profile 'resnet-18'; did you mean 'resnet18-imagenet'?",
        "  line 16: training.epochs: is 'x'; it must be a whole number",
    ]


def test_a_wrong_name_of_a_profile_alone_has_its_line_too(tmp_path):
    """The scenario is one for a caller's own profile; whoever loads the named one learns where."""
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET.replace("resnet18-imagenet", "resnet-18"))
    scenario = Scenario.load(path)
    with pytest.raises(InputError) as caught:
        scenario.load_model()
    place, _, names = str(caught.value).partition(" The shipped ones are ")
    assert place == (
        f"{path}, line 4: model: there is no profile 'resnet-18'; did you mean 'resnet18-imagenet'?"
    )
    assert "vgg19-cifar" in names
    other = scenario.model_copy(update={"model": {"profile": "vgg19-cifar"}})
    assert other.load_model().name == "vgg19-cifar"
    own = load_profile("resnet18-imagenet")
    assert CutAndResources.from_scenario(scenario, own).devices == 3


def test_a_file_of_a_profile_is_not_looked_for_among_the_mistakes(tmp_path):
    """Its name is right or wrong when it is read."""
    message = message_of(tmp_path, ("resnet18-imagenet", "nowhere/net.json"), ("1, r", "x, r"))
    assert "net.json" not in message
    assert message.startswith(", line 16: training.epochs: ")


def test_of_many_mistakes_the_rest_is_counted(tmp_path):
    """At most eight are listed."""
    bad = "".join(f"  - {{name: d{n}, speed: 3, samples: 1}}\n" for n in range(20))
    lines = message_of(tmp_path, ("devices:\n", f"devices:\n{bad}")).splitlines()
    assert lines[0] == ": 20 mistakes:"
    assert lines[1].startswith("  line 6: devices[0] (d0).speed: ")
    assert lines[-1] == "  and 12 more"
    assert len(lines) == 10


def test_mistakes_between_the_parts_are_told_together(tmp_path):
    """What each part states is right, and they do not fit each other."""
    message = message_of(
        tmp_path,
        ("name: jetson", "name: pi5-2"),
        ("training:", "clusters: {size: 2}\nguesses: [links.uplnk]\ntraining:"),
    )
    head, *rest = message.splitlines()
    assert head == ": 4 mistakes:"
    for line, words in zip(
        rest,
        (
            "line 7: devices[1] (pi5-2): the name 'pi5-2' stands twice",
            "line 16: clusters.size: is 2, but 3 devices do not divide",
            "line 16: clusters: there is no 'spectrum'",
            "line 17: guesses[0]: 'links.uplnk' leads to nothing",
        ),
        strict=True,
    ):
        assert words in line


def test_json_has_lines_as_well(tmp_path):
    """A scenario in JSON is read as JSON, and its mistakes have lines."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["training"]["epochs"] = "many"
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps(document, indent="\t"))
    line = 1 + path.read_text().splitlines().index('\t\t"epochs": "many",')
    with pytest.raises(InputError, match=rf"line {line}: training.epochs: is 'many'"):
        Scenario.load(path)


_CLUSTERS = (
    "training:",
    "spectrum: {subcarriers: 4, bandwidth: 1 MHz}\nclusters: {size: 1}\ntraining:",
)


@pytest.mark.parametrize(
    ("count", "more", "most"),
    [
        ("200001", _CLUSTERS, "with 'clusters' has at most 200,000"),
        ("1000000000", _CLUSTERS, "with 'clusters' has at most 200,000"),
        (
            "1000000000",
            ("- name: jetson", "- {name: a, count: 1000000000, compute: 1 GFLOP/s, samples: 1}\n"
             "  - name: jetson"),
            "has at most 2,000,000,000",
        ),
    ],
)  # fmt: skip
def test_too_many_devices_are_refused_before_they_are_built(tmp_path, count, more, most):
    """A limit is named, in no time."""
    start = time.process_time()
    message = message_of(tmp_path, ("count: 2", f"count: {count}"), more)
    assert time.process_time() - start < 1.0
    assert message.startswith(", line 6: devices[0] (pi5).count: makes ")
    assert most in message


def test_what_looks_at_every_device_refuses_too_many_before_it_lists_them(tmp_path):
    """A group of any size loads; its single devices are not listed."""
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET.replace("count: 2", "count: 100000000"))
    scenario = Scenario.load(path)
    assert scenario.device_count() == 100_000_001
    start = time.process_time()
    with pytest.raises(InputError, match="device by device, for at most 200,000"):
        scenario.fleet()
    with pytest.raises(InputError, match="device by device, for at most 200,000"):
        CutAndResources.from_scenario(scenario)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("digits", ["9" * 4000, "0x" + "f" * 4000])
def test_numbers_of_thousands_of_digits_are_not_written_out(tmp_path, digits):
    """Only how many digits there are is said."""
    message = message_of(tmp_path, ("count: 2", f"count: {digits}"))
    assert "is a whole number of about" in message
    assert len(message) < 200


def test_a_cut_of_thousands_of_digits_is_not_written_out():
    document = Scenario.load("digits-pipeline").to_dict()
    document["pipeline"] = document.get("pipeline", {}) | {"last_cut": 16**4000}
    with pytest.raises(InputError, match=r"pipeline.last_cut: is a whole number of about 4817 dig"):
        Scenario.from_dict(document)


def test_a_name_that_is_no_scenario_lists_those_there_are():
    """With the nearest one first."""
    with pytest.raises(InputError) as caught:
        Scenario.load("dp-mora-resnet-18")
    assert "did you mean 'dp-mora-resnet18'? The shipped ones are" in str(caught.value)
    with pytest.raises(InputError) as caught:
        Scenario.load("nosuchname")
    assert all(name in str(caught.value) for name in scenario_names())
    with pytest.raises(InputError, match=r"fleet.yaml: there is no such file$"):
        Scenario.load("fleet.yaml")


def test_a_profile_is_found_by_how_it_begins(tmp_path):
    """`resnet-18` is the ResNet-18, not a regression of somebody's."""
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET.replace("resnet18-imagenet", "resnet-18"))
    with pytest.raises(InputError, match="did you mean 'resnet18-imagenet'"):
        Scenario.load(path).load_model()


def test_copies_are_checked():
    """A dictionary becomes a part, and what does not fit is refused by name."""
    scenario = Scenario.load("digits-splitfed")
    copy = scenario.model_copy(update={"training": {"epochs": 3}})
    assert copy.training == Training(epochs=3)
    assert scenario.training != copy.training
    assert scenario.model_copy(update={"nodes": ()}) == scenario
    with pytest.raises(InputError) as caught:
        scenario.model_copy(update={"trainin": {}, "privacy": {"leakage_limit": "50%"}})
    assert str(caught.value).splitlines() == [
        "Scenario: 2 mistakes:",
        "  trainin: this field is unknown; did you mean 'training'?",
        "  privacy.leakage_limit: is '50%'; write 0.5, a number without %",
    ]
    device = Device(name="a", compute=3e9, samples=5)
    assert device.model_copy(update={"compute": 4e9}).compute == 4e9
    with pytest.raises(InputError, match="Device: samples: is 0"):
        device.model_copy(update={"samples": 0})


def test_names_of_old_pydantic_are_hidden():
    """A notebook completes to what is there for users."""
    shown = dir(Privacy())
    assert {"leakage_limit", "model_copy"} <= set(shown)
    assert not {"parse_obj", "from_orm", "dict", "json", "copy", "construct"} & set(shown)
