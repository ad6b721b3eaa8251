"""Scenarios: checked at the edge, in SI inside, and the same after a round trip."""

from __future__ import annotations

import copy
import json

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from splitopt import InputError, Scenario
from splitopt.scenario import Link, scenario_names, scenario_schema


def changed(document, path, value):
    """Copy a document with one entry set, or deleted when the value is `...`."""
    result = copy.deepcopy(document)
    place = result
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return result


def load(tmp_path, document):
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(document))
    return Scenario.load(path)


def test_quantities_are_si_inside(tmp_path, scenario_document):
    """Texts with units become SI numbers, groups become single devices with unique names."""
    scenario = load(tmp_path, scenario_document)
    assert scenario.devices[0].compute == 3.62e9
    assert scenario.links.uplink.rate == 50e6
    assert [device.name for device in scenario.fleet()] == ["pi-1", "pi-2", "laptop"]


BAD = [
    (("links", "downlink"), "100 Mbit", "links.downlink.rate.*'100 Mbit'.*not a unit of rate"),
    (("links", "downlink"), "-5 Mbit/s", "links.downlink.rate.*-5 Mbit/s.*above 0"),
    (("links", "downlink"), "nan Mbit/s", "links.downlink.rate.*finite"),
    (("links", "downlink"), 5, "links.downlink"),
    (("links", "downlink"), {"rate": 5}, "links.downlink.rate.*no unit"),
    (("links", "uplink"), ..., "links.uplink: this field is missing"),
    (("links", "uplink"), {"bandwidth": "5 MHz"}, r"devices\[0\] \(pi\): its uplink has no 'rate'"),
    (("devices",), [], "devices: is empty"),
    (("devices",), ..., "devices: this field is missing"),
    (("devices", 1, "name"), "pi-2", "'pi-2' stands twice"),
    (("devices", 0, "samples"), 0, r"devices\[0\] \(pi\).samples: is 0"),
    (("devices", 0, "samples"), 1.5, r"devices\[0\] \(pi\).samples: is 1.5"),
    (("devices", 0, "samples"), "many", r"devices\[0\] \(pi\).samples: is 'many'"),
    (("devices", 0, "samples"), ..., r"devices\[0\] \(pi\).samples: this field is missing"),
    (
        ("devices", 0, "batch_size"),
        5000,
        r"devices\[0\] \(pi\).*batch_size is 5000, more than the 3000",
    ),
    (("devices", 0, "count"), 0, r"devices\[0\] \(pi\).count: is 0"),
    (("devices", 0, "compute"), "0 GFLOP/s", r"devices\[0\] \(pi\).compute.*above 0"),
    (("devices", 0, "compute"), ..., r"devices\[0\] \(pi\): needs exactly one of 'compute'"),
    (("devices", 0, "machine"), "d1", r"devices\[0\] \(pi\): needs exactly one of 'compute'"),
    (("devices", 0, "speed"), "3 GFLOP/s", r"devices\[0\] \(pi\).speed: this field is unknown"),
    (("servers",), [], "servers: is empty"),
    (("privacy",), {"leakage_limit": 1.5}, "privacy.leakage_limit: is 1.5"),
    (("privacy",), {"leakage_limit": float("nan")}, "privacy.leakage_limit: is nan"),
    (("generators",), {"size": "1 MB"}, "generators: needs labels: either 'classes'"),
    (("generators",), {"size": "1 MB", "classes": {"pi": []}}, "generators.classes: of 'pi' is"),
    (("generators",), {"size": "1 MB", "classes": {"po": [1]}}, "names 'po', which is no device"),
    (
        ("generators",),
        {"size": "1 MB", "classes": {"pi": [1]}, "labels": [0]},
        "names 1, which is not among the labels",
    ),
    (("generators",), {"size": "1 MB", "counts": {"pi": [1]}}, "'counts' needs 'labels'"),
    (
        ("generators",),
        {"size": "1 MB", "counts": {"pi": [1]}, "labels": [0, 1]},
        "counts of 'pi' has 1 numbers, but the labels are 2",
    ),
    (("clusters",), {"size": 3, "cut": 1}, "clusters: there is no 'spectrum' to share"),
    (("spectrum",), {"subcarriers": 3}, "spectrum.bandwidth: this field is missing"),
    (("servers",), ..., "servers: this field is missing; give servers or compute nodes"),
    (("model",), {"profile": "a", "file": "b"}, "model: needs either 'profile'"),
    (("model",), ..., "model: this field is missing"),
    (("version",), 2, "version is 2"),
    (("format",), "plan", "format is 'plan'"),
    (("training",), {"epochs": -1}, "training.epochs: is -1"),
]


@pytest.mark.parametrize(("path", "value", "words"), BAD)
def test_bad_input_is_one_sentence(tmp_path, scenario_document, path, value, words):
    """Every wrong field is named with its value and the mend, on one line."""
    with pytest.raises(InputError, match=words) as caught:
        load(tmp_path, changed(scenario_document, path, value))
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_milli_is_refused(tmp_path, scenario_document):
    """`100 mbit/s` is a billionth of what was meant."""
    with pytest.raises(InputError, match=r"milli .*write '100 Mbit/s'"):
        load(tmp_path, changed(scenario_document, ("links", "uplink"), "100 mbit/s"))


def test_unknown_model_names_those_there_are(scenario_document):
    """A profile that does not exist is refused with the names that do."""
    scenario = Scenario.from_dict(changed(scenario_document, ("model",), "resnet19"))
    with pytest.raises(InputError, match="resnet18"):
        scenario.load_model()


def test_python_takes_si_numbers_and_files_do_not(tmp_path, scenario_document):
    """A bare number is SI where a program says so, and lacks its unit in a file or plain data."""
    document = changed(scenario_document, ("links", "uplink"), {"rate": 5e7})
    assert Scenario.from_si(document).links.uplink.rate == 5e7
    assert Link(rate=5e7).rate == 5e7
    with pytest.raises(InputError, match=r"links.uplink.rate: 50000000.0 has no unit"):
        load(tmp_path, document)
    with pytest.raises(InputError, match=r"links.uplink.rate: 50000000.0 has no unit"):
        Scenario.from_dict(document)
    with pytest.raises(ValidationError, match="no unit"):
        Scenario.model_validate_json(json.dumps(document))


def test_decibels_are_explicit_fields():
    """23 dBm is 0.2 W, -100 dB is 1e-10, -174 dBm/Hz is 4e-21 W/Hz."""
    link = Link.model_validate(
        {
            "bandwidth": 2e7,
            "transmit_power_dbm": 23,
            "channel_gain_db": -100,
            "noise_density_dbm_per_hz": -174,
        }
    )
    assert link.transmit_power == pytest.approx(0.19952623)
    assert link.channel_gain == pytest.approx(1e-10)
    assert link.noise_density == pytest.approx(3.9810717e-21)


@pytest.mark.parametrize("value", ["23", True, 1e6, None, [1]])
def test_wrong_decibels_are_refused(value):
    """A level is a number within reason."""
    with pytest.raises(ValueError, match="transmit_power_dbm"):
        Link.model_validate({"bandwidth": 2e7, "transmit_power_dbm": value})


def test_a_device_states_its_signal_in_decibels(scenario_document):
    """20 dB on the device replace the powers of the shared link, and powers replace a ratio."""
    document = changed(scenario_document, ("devices", 0, "snr_db"), 20)
    document["links"]["downlink"] = {
        "bandwidth": "1 MHz",
        "transmit_power": "1 W",
        "channel_gain": 1e-9,
        "noise_density": "1e-17 W/Hz",
    }
    scenario = Scenario.from_dict(document)
    device = scenario.fleet()[0]
    assert device.snr == pytest.approx(100)
    found = scenario.link(device, "downlink")
    assert found.signal_to_noise(1e6) == pytest.approx(100)
    assert found.transmit_power is None
    shared = Link(bandwidth=1e6, snr=5.0)
    own = Link(transmit_power=1.0, channel_gain=1e-9, noise_density=1e-17).over(shared)
    assert own.signal_to_noise(1e6) == pytest.approx(100)


def test_subcarriers_are_the_bandwidth_of_a_link_without_one():
    """Thirty subcarriers of 1 MHz make 30 MHz, for problems that share the whole."""
    scenario = Scenario.load("cpsl-identical")
    link = scenario.link(scenario.fleet()[0], "uplink")
    assert link.bandwidth == pytest.approx(30e6)
    assert link.missing() == ()


def test_linear_and_decibels_together_are_refused():
    """The same quantity twice contradicts itself."""
    with pytest.raises(ValueError, match="keep one"):
        Link.model_validate({"transmit_power": 1.0, "transmit_power_dbm": 30})


def test_a_device_overrides_its_own_link_only(scenario_document):
    """A rate of its own wins; the other direction stays the shared one."""
    document = changed(scenario_document, ("devices", 1, "uplink"), "7 Mbit/s")
    scenario = Scenario.from_dict(document)
    pi, laptop = scenario.devices
    assert laptop.link("uplink", scenario.links).rate == 7e6
    assert laptop.link("downlink", scenario.links).rate == 1e8
    assert pi.link("uplink", scenario.links).rate == 5e7


@pytest.mark.parametrize("name", scenario_names())
def test_shipped_scenarios_load_by_name(name):
    """Every shipped scenario is valid, finds its model and survives a round trip."""
    scenario = Scenario.load(name)
    assert scenario.load_model().layer_count > 0
    assert Scenario.from_dict(yaml.safe_load(scenario.to_yaml())) == scenario


@pytest.mark.slow
@given(seed=st.integers(0, 10**6), devices=st.integers(1, 40))
def test_generated_fleets_survive_a_round_trip(seed, devices):
    """Any generated fleet has the size asked for and is read back equal from its YAML."""
    scenario = Scenario.generate(seed=seed, devices=devices)
    again = Scenario.from_dict(yaml.safe_load(scenario.to_yaml()))
    assert again == scenario
    assert len(scenario.fleet()) == devices
    assert Scenario.generate(seed=seed, devices=devices) == scenario


quantities = st.floats(min_value=1e-3, max_value=1e18, allow_nan=False)


@pytest.mark.slow
@given(
    compute=quantities,
    memory=quantities,
    rate=quantities,
    gain=st.floats(1e-20, 1.0),
    count=st.integers(1, 1000),
    samples=st.integers(1, 10**9),
)
def test_any_valid_device_survives_a_round_trip(compute, memory, rate, gain, count, samples):
    """Arbitrary SI values are written as text with units and read back exactly."""
    document = {
        "model": "resnet18-imagenet",
        "devices": [
            {
                "name": "d",
                "compute": compute,
                "memory": memory,
                "channel_gain": gain,
                "count": count,
                "samples": samples,
                "uplink": {"rate": rate},
            }
        ],
        "links": {"downlink": {"rate": rate}, "uplink": {"rate": 1.0}},
        "servers": [{"name": "s", "compute": compute}],
    }
    scenario = Scenario.from_si(document)
    text = scenario.to_yaml()
    assert Scenario.from_dict(yaml.safe_load(text)) == scenario


@pytest.mark.parametrize(("seed", "devices"), [(0, 0), (0, -1), (-1, 3), (0, 1.5), (0, True)])
def test_generate_refuses_impossible_fleets(seed, devices):
    """An empty fleet or a negative seed is refused."""
    with pytest.raises(InputError, match=r"devices|seed"):
        Scenario.generate(seed=seed, devices=devices)


def test_schema_accepts_valid_files_and_refuses_wrong_ones(scenario_document):
    """The published JSON Schema agrees with the loader on the documents of these tests."""
    schema = scenario_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(scenario_document)
    for name in scenario_names():
        validator.validate(Scenario.load(name).to_dict())
    assert not validator.is_valid(changed(scenario_document, ("devices",), ...))
    assert not validator.is_valid(changed(scenario_document, ("links", "downlink"), {"rate": 5}))
    assert not validator.is_valid(changed(scenario_document, ("spectrum",), [{"name": "a"}]))
    assert not validator.is_valid(changed(scenario_document, ("servers",), ...))
    assert not validator.is_valid(changed(scenario_document, ("devices", 0, "colour"), "red"))


def test_a_scenario_cannot_be_changed(scenario_document):
    """Scenarios are frozen values."""
    scenario = Scenario.from_dict(scenario_document)
    with pytest.raises(ValueError, match="frozen"):
        scenario.name = "other"


def test_save_and_load(tmp_path, scenario_document):
    """`save` writes YAML or JSON that `load` reads back."""
    scenario = Scenario.from_dict(scenario_document)
    for name in ("a.yaml", "a.json"):
        scenario.save(tmp_path / name)
        assert Scenario.load(tmp_path / name) == scenario
