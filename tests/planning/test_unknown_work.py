"""Plans of models whose work is not known, or lacks some: by times only."""

from __future__ import annotations

import json

import pytest

from splitopt import InputError, Scenario, load_profile, plan
from splitopt.planning.comparison.comparing import compare_schemes
from splitopt.report.page import plan_to_html

LACKING = {
    "operator": "mylib::scan",
    "layer": "conv2",
    "phase": "forward",
    "runs": 1,
    "elements": 100.0,
    "at_most_flop": 1e9,
}
SIDES = ("device", "server")
SCENARIOS = ("digits-splitfed", "digits-clusters", "digits-pipeline")


@pytest.fixture
def profiled(tmp_path):
    """Write the profile of the shipped network with times of a machine, and some work lacking."""

    def write(**changes):
        document = load_profile("cnn-digits").to_dict() | {"uncounted": [LACKING], **changes}
        rows = len(document["layers"])
        assert LACKING["layer"] in document["layers"]
        seconds = {name: [0.001] * rows for name in ("forward_s", "backward_s", "update_s")}
        document["machines"] = {"here": seconds | {"measured": [True] * rows}}
        (tmp_path / "lacking.json").write_text(json.dumps(document))
        return {"file": str(tmp_path / "lacking.json")}

    return write


def scenario_of(name, model, measured, varying=None):
    """Return a shipped scenario with another model, its machines by speed or by times."""
    document = Scenario.load(name).to_dict() | {"model": model}
    for section in ("devices", "servers", "nodes"):
        for machine in document.get(section) or ():
            if measured:
                machine.pop("compute", None)
                machine["machine"] = "here"
    if varying:
        document["distributions"] = varying
    return Scenario.from_dict(document)


@pytest.mark.parametrize("name", SCENARIOS)
def test_speeds_are_refused_where_work_is_lacking(profiled, name):
    """With the operator, its layer and the ways out."""
    with pytest.raises(InputError, match=r"no formula for mylib::scan in layer conv2.*--measure"):
        plan(scenario_of(name, profiled(), measured=False))


def test_varying_speeds_are_refused_where_work_is_lacking(profiled):
    """Under uncertainty as well."""
    varying = {"snr": {"kind": "normal", "std_db": 2}, "samples": 20}
    with pytest.raises(InputError, match="no formula for mylib::scan"):
        plan(scenario_of("digits-clusters", profiled(), False, varying))


@pytest.mark.parametrize("name", SCENARIOS)
def test_speeds_are_refused_where_no_work_was_counted(profiled, name):
    """A profile of times alone; its arrays of work are zeros and mean nothing."""
    zero = [0.0] * load_profile("cnn-digits").layer_count
    columns = [f"{side}_{way}_flop" for side in SIDES for way in ("forward", "backward")]
    model = profiled(work_unit="none", uncounted=[], **dict.fromkeys(columns, zero))
    with pytest.raises(InputError, match=r"has no work, only measured times; name a machine .here"):
        plan(scenario_of(name, model, measured=False))
    assert plan(scenario_of(name, model, measured=True)).is_feasible


def test_one_speed_among_times_is_enough_to_refuse(profiled):
    """Devices by times and a server by speed, and the other way round."""
    for section in ("devices", "servers"):
        document = Scenario.load("digits-splitfed").to_dict() | {"model": profiled()}
        for machine in document[section]:
            machine.pop("compute")
            machine["machine"] = "here"
        with pytest.raises(InputError, match="no formula for mylib::scan"):
            plan(Scenario.from_dict(document))


@pytest.mark.parametrize("name", SCENARIOS)
def test_times_are_planned_with_and_the_note_is_in_plan_and_page(profiled, name):
    """The seconds are those of the machine, and what was not counted is said."""
    made = plan(scenario_of(name, profiled(), measured=True))
    assert made.is_feasible
    (note,) = [text for text in made.notes if "mylib::scan" in text]
    assert note.startswith(
        "Not counted in the work, since its cost is not known: mylib::scan (once"
    )
    assert "mylib::scan (once in a pass, 100 numbers per sample)" in plan_to_html(made)


def test_a_trifle_is_planned_with_and_named(profiled):
    """Work that cannot matter does not stand in the way of a speed."""
    small = LACKING | {"at_most_flop": 1.0}
    made = plan(scenario_of("digits-splitfed", profiled(uncounted=[small]), measured=False))
    whole = plan(Scenario.load("digits-splitfed"))
    assert made.result["objective"] == whole.result["objective"]
    assert any("mylib::scan" in note for note in made.notes)


def test_schemes_are_compared_by_times_without_work_of_devices(profiled):
    """No column of work where it is not known; federated learning needs no speed either."""
    found = compare_schemes(scenario_of("digits-splitfed", profiled(), measured=True))
    rows = {row.scheme: row for row in found.rows}
    assert rows["fl"].status == "feasible"
    assert rows["fl"].device_flop is None
    # 320 samples pass 6 layers of 3 ms; the model's way down and up comes on top.
    assert rows["fl"].round_s > 320 * 6 * 0.003
    assert any("mylib::scan" in note for note in found.notes)
    with pytest.raises(InputError, match="no formula for mylib::scan"):
        compare_schemes(scenario_of("digits-splitfed", profiled(), measured=False))
