"""What differs between two plans, checked against what was changed, and by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from splitopt import CutAndResources, InputError, ModelProfile, Scenario, diff_plans, plan
from splitopt.planning.differing.decisions import is_told_in_full, plain_changes
from splitopt.planning.differing.inputs import profile_changes


def scenario_with(change):
    """Return the shipped fleet of four boards, changed as plain data."""
    document = Scenario.load("digits-splitfed").to_dict()
    change(document)
    return Scenario.from_dict(document)


@pytest.fixture(scope="module")
def made():
    return plan("digits-splitfed")


@pytest.fixture(scope="module")
def slower():
    """Plan the same fleet with half the uplink and half of the slow board's speed."""

    def change(document):
        document["links"]["uplink"]["rate"] = "2000 kbit/s"
        document["devices"][1]["compute"] = "0.5 MFLOP/s"

    return plan(scenario_with(change))


def test_a_plan_does_not_differ_from_itself(made, tmp_path):
    """Neither does it from its file, nor from a plan that was made anew."""
    made.save(tmp_path / "a.json")
    for other in (made, tmp_path / "a.json", made.to_dict(), plan("digits-splitfed")):
        found = diff_plans(made, other)
        assert not found.differs
        assert found.inputs == found.decision == ()
        assert all(one.change == 0 for one in found.prediction)


def test_inputs_are_named_as_they_were_changed(made, slower):
    """Each change has its place, both values and the factor; units are no change."""
    found = {one.place: one for one in diff_plans(made, slower).inputs}
    assert set(found) == {"links.uplink.rate", "devices[slow].compute"}
    assert found["links.uplink.rate"].factor == 0.5
    assert found["devices[slow].compute"].before == "1 MFLOP/s"
    assert found["devices[slow].compute"].factor == 0.5


def test_numbers_are_those_of_the_plans(made, slower):
    """Before, after, change and fraction, and the bytes of a round counted by hand."""
    found = {one.name: one for one in diff_plans(made, slower).prediction}
    assert found["round_s"].before == made.prediction["round_s"]
    assert found["round_s"].after == slower.prediction["round_s"]
    assert found["objective"].relative == pytest.approx(
        slower.result["objective"] / made.result["objective"] - 1
    )
    sent = 0.0
    for row, samples in zip(slower.prediction["devices"], (320,) * 4, strict=True):
        at = row["cut"] - 1
        part = slower.profile["device_model_bytes"][at]
        crossing = slower.profile["smashed_bytes"][at] + slower.profile["gradient_bytes"][at]
        sent += 2 * part + samples * crossing
    assert found["traffic_bytes"].after == pytest.approx(sent)


def test_the_old_decision_on_the_new_inputs(made, slower):
    """Its value is that of Eq. 12 with the new fleet: work over share, summed phase by phase."""
    kept = diff_plans(made, slower).kept
    problem = CutAndResources.from_scenario(Scenario.from_dict(slower.scenario))
    decision, value = made.decision, 0.0
    for n, cut in enumerate(decision["cut"]):
        for table, share in (
            (problem.download_s, decision["download_share"][n]),
            (problem.upload_s, decision["upload_share"][n]),
            (problem.server_s, decision["server_share"][n]),
            (problem.device_s, 1.0),
        ):
            work = table[n, cut - 1]
            value += work / share if work else 0.0
    assert kept.objective == pytest.approx(value, rel=1e-12)
    assert kept.objective >= slower.result["objective"] * (1 - 1e-9)
    assert kept.saves == pytest.approx(1 - slower.result["objective"] / value)


def test_alike_devices_are_one_change(made):
    """The two fast boards, whose round is the same, stand together; who keeps all is not named."""
    other = plan("digits-splitfed", solver="equal_share")
    found = diff_plans(made, other)
    assert not found.inputs
    named = [one.names for one in found.decision]
    assert ("fast-1", "fast-2") in named
    assert sorted(name for names in named for name in names) == ["far", "fast-1", "fast-2", "slow"]
    for one in found.decision:
        for name in one.names:
            row = next(row for row in other.prediction["devices"] if row["name"] == name)
            for field, value in one.after.items():
                if field.endswith("_share"):
                    assert value == pytest.approx(row[field], rel=1e-3)


def test_other_fleets_are_said_and_not_compared_in_value(made):
    """One board more: decisions of the four are compared, sums over other devices are not."""

    def one_more(document):
        document["devices"].append({**document["devices"][2], "name": "more"})

    found = diff_plans(made, plan(scenario_with(one_more)))
    assert not found.comparable
    assert found.devices == (4, 0, 1)
    assert found.kept is None
    assert "objective" not in {one.name for one in found.prediction}
    assert "round_s" in {one.name for one in found.prediction}
    assert all("more" not in one.names for one in found.decision)
    assert any("1 in B only" in note for note in found.notes)


def test_other_problems_are_said(made):
    """Of a common cut, only what both plans have is compared."""
    found = diff_plans(made, plan("digits-splitfed", scheme="splitfed_v1"))
    assert not found.comparable
    assert found.decision == ()
    assert {"round_s", "training_s"} <= {one.name for one in found.prediction}
    assert "common_cut" in found.notes[0]


def test_bounds_that_deny_each_other_are_found(made):
    """A forged bound of a worse plan is above the better plan, which is named."""
    worse = plan("digits-splitfed", solver="equal_share")
    value = worse.result["objective"]
    bound = 0.5 * (value + made.result["objective"])
    forged = {**worse.result, "bound": bound, "gap": (value - bound) / value}
    assert not diff_plans(worse, made).notes
    notes = diff_plans(replace(worse, result=forged), made).notes
    assert "the bound of A is wrong" in notes[0]


def test_a_plan_without_a_decision(made):
    """What is compared is what was given; the sentence says which plan has none."""

    def strict(document):
        document["devices"][0]["memory"] = "1 B"

    none = plan(scenario_with(strict))
    assert not none.is_feasible
    found = diff_plans(made, none)
    assert found.gains == "B has no decision, so that nothing can be gained or lost."
    assert [one.place for one in found.inputs] == ["devices[fast].memory"]
    assert found.certificates[1].outcome == "infeasible"


@pytest.mark.parametrize(
    "name",
    [
        "digits-clusters",
        "digits-pipeline",
        "cpsl-identical",
        pytest.param("digits-iotsl", marks=pytest.mark.slow),
    ],
)
def test_every_shipped_problem_is_compared(name):
    """Of any problem, what is plain data comes out, and nothing differs from itself."""
    own = plan(name)
    found = diff_plans(own, own)
    assert not found.differs
    assert found.prediction
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_profile_that_changed_is_told_by_column(made):
    """Which columns, at how many cuts, and by how much."""
    document = json.loads(json.dumps(made.to_dict()))
    profile = document["profile"]
    profile["smashed_bytes"][0] *= 1.25
    before = ModelProfile.from_dict(made.profile, "a")
    after = ModelProfile.from_dict(profile, "b")
    (change,) = profile_changes(before, after)
    assert change.field == "smashed_bytes"
    assert change.words == f"differs at 1 of {len(before.layers)} cuts, by up to 20 %"


def test_decisions_that_predictions_do_not_tell_are_compared_as_they_stand():
    """Fields that differ, long ones shortened; of any problem, also one from elsewhere."""
    before = {"problem": "mine", "cut": 2, "recourse": [[1, 2]] * 50, "same": 1}
    after = {"problem": "mine", "cut": 3, "recourse": [[2, 1]] * 50, "same": 1}
    (change,) = plain_changes(before, after)
    assert (change.before["cut"], change.after["cut"]) == (2, 3)
    assert set(change.before) == {"cut", "recourse"}
    assert len(change.before["recourse"]) <= 40
    assert plain_changes(before, before) == []
    assert not is_told_in_full("mine")
    assert not is_told_in_full("cut_under_uncertainty")


def test_what_is_no_plan_is_refused(tmp_path, made):
    """A scenario, a damaged plan and a missing file are named."""
    with pytest.raises(InputError, match="digits-splitfed: is a shipped scenario"):
        diff_plans("digits-splitfed", made)
    document = json.loads(json.dumps(made.to_dict()))
    document["decision"]["cut"][0] = 1
    with pytest.raises(InputError, match="after: decision: does not match its hash"):
        diff_plans(made, document)
