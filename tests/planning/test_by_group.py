"""Plans by group: the optimum of plans by device, from every form of a fleet."""

from __future__ import annotations

import base64
import itertools
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splitopt
from splitopt import InputError, Plan, Scenario, compare_schemes, plan
from splitopt.cli.entry import run
from splitopt.planning import by_group, planner
from splitopt.planning.planner import by_device, open_plan
from splitopt.planning.replaying import simulate
from splitopt.problems.cut_and_resources.parts import GroupedDecision
from splitopt.report.page import plan_to_html
from splitopt.report.summary import summarize
from splitopt.scenario import device_list

FLEET: dict[str, Any] = {
    "format": "splitopt-scenario",
    "version": 1,
    "name": "groups",
    "model": "dp-mora-resnet18-recovered",
    "devices": [
        {"name": "pi", "count": 5, "compute": "3 GFLOP/s", "samples": 900, "batch_size": 32},
        {"name": "jet", "count": 3, "compute": "90 GFLOP/s", "samples": 4000, "batch_size": 32},
        {"name": "lap", "compute": "40 GFLOP/s", "samples": 2500, "batch_size": 50},
    ],
    "links": {"downlink": "2 Gbit/s", "uplink": "900 Mbit/s"},
    "servers": [{"name": "edge", "compute": "2 TFLOP/s"}],
    "training": {"epochs": 2, "rounds": 10},
    "privacy": {"leakage_limit": 0.7},
}


def counted(*counts: int, **changes: Any) -> dict[str, Any]:
    """Return the fleet with other counts and sections."""
    devices = [{**one, "count": count} for one, count in zip(FLEET["devices"], counts, strict=True)]
    return {**FLEET, "devices": devices, **changes}


@pytest.fixture(scope="module", params=["sum", "makespan"])
def pair(request: pytest.FixtureRequest) -> tuple[Plan, Plan]:
    """Return plans by group and by device of one fleet."""
    return tuple(  # type: ignore[return-value]
        plan(FLEET, objective=request.param, by_group=grouped) for grouped in (True, False)
    )


def test_both_plans_promise_the_same(pair: tuple[Plan, Plan]) -> None:
    grouped, single = (one.prediction for one in pair)
    assert grouped is not None
    assert single is not None
    assert pair[0].result["outcome"] == "optimal"
    assert pair[0].result["objective"] == pytest.approx(pair[1].result["objective"], rel=1e-9)
    for name in ("round_s", "total_s", "training_s"):
        assert grouped[name] == pytest.approx(single[name], rel=1e-6), name
    assert [row["resource"] for row in grouped["worth"]] == [
        row["resource"] for row in single["worth"]
    ]
    for one, other in zip(grouped["worth"], single["worth"], strict=True):
        assert one["per_percent"] == pytest.approx(other["per_percent"], rel=1e-6)
    notes = [[note for note in one.notes if "binds" not in note] for one in pair]
    assert notes[0] == notes[1]
    assert grouped["groups"]["devices"] == 9
    assert sum(row["devices"] for row in grouped["groups"]["cuts"]) == 9
    bound = grouped["leakage"]["bound"]
    assert bound == len(single["leakage"]["bound_devices"])


def test_a_plan_by_group_is_opened_reported_and_replayed(
    pair: tuple[Plan, Plan], tmp_path: Path
) -> None:
    grouped, single = pair
    grouped.save(tmp_path / "plan.json")
    opened = open_plan(tmp_path / "plan.json")
    assert isinstance(opened.decision, GroupedDecision)
    assert opened.plan.to_dict() == grouped.to_dict()
    summary = summarize(opened.plan)
    assert {row["group"] for row in summary.tables[0].rows} == {"pi", "jet", "lap"}
    assert len(plan_to_html(grouped)) < 200_000
    one, other = simulate(grouped), simulate(single)
    assert one.simulated_s == pytest.approx(other.simulated_s, rel=1e-9)
    busy = {usage.resource.name: usage.busy_s for usage in other.timeline.usage}
    assert {"downlink", "uplink", "server"} <= set(busy)
    used = {usage.resource.name: usage.used_s for usage in other.timeline.usage}
    for usage in one.timeline.usage:
        if usage.resource.kind in ("link", "server"):
            assert usage.used_s == pytest.approx(used[usage.resource.name], rel=1e-9)


def test_a_plan_by_group_is_turned_into_one_by_device(pair: tuple[Plan, Plan]) -> None:
    opened = by_device(open_plan(pair[0]))
    assert opened.problem is not None
    assert not opened.problem.violations(opened.decision)
    value = opened.problem.evaluate(opened.decision)
    assert value == pytest.approx(pair[1].result["objective"], rel=1e-9)
    assert open_plan(opened.plan).plan.to_dict() == opened.plan.to_dict()


def numbers(value: Any) -> list[float]:
    """Read a list or a packed array, by the documented format alone."""
    if isinstance(value, list):
        return value
    letter = {"<f8": "d", "<i8": "q", "<i4": "i", "<u2": "H", "|u1": "B"}[value["dtype"]]
    return list(struct.unpack(f"<{value['length']}{letter}", base64.b64decode(value["base64"])))


def test_a_plan_of_many_is_priced_again_by_plain_arithmetic(tmp_path: Path) -> None:
    """DP-MORA Eq. 1-12 on the numbers in the file, without the package."""
    fleet = counted(60_000_000, 30_000_000, 10_000_000, links={
        "downlink": "2 Tbit/s", "uplink": "900 Gbit/s"}, servers=[
        {"name": "edge", "compute": "2000 TFLOP/s"}])  # fmt: skip
    for objective in ("sum", "makespan"):
        plan(fleet, objective=objective).save(tmp_path / "plan.json")
        document = json.loads((tmp_path / "plan.json").read_text())
        profile, decision = document["profile"], document["decision"]
        speeds, samples = [3e9, 90e9, 40e9], [900, 4000, 2500]
        shared, value, planned = np.zeros(3), 0.0, [0, 0, 0]
        rows = zip(*(numbers(decision[name]) for name in (
            "group", "cut", "devices", "download_share", "upload_share", "server_share")),
            strict=True)  # fmt: skip
        for g, cut, many, down, up, server in rows:
            at = cut - 1
            bits = [8 * (profile["device_model_bytes"][at] + 2 * samples[g] * profile[name][at])
                    for name in ("gradient_bytes", "smashed_bytes")]  # fmt: skip
            work = {
                side: 2 * samples[g] * sum(profile[f"{side}_{way}_flop"][at]
                                           for way in ("forward", "backward"))
                for side in ("device", "server")
            }  # fmt: skip
            latency = bits[0] / 2e12 / down + bits[1] / 9e11 / up + work["device"] / speeds[g]
            latency += work["server"] / 2e15 / server if work["server"] else 0.0
            assert profile["leakage"][at] <= 0.7
            shared += many * np.array([down, up, server])
            planned[g] += many
            value = value + many * latency if objective == "sum" else max(value, latency)
        assert planned == [60_000_000, 30_000_000, 10_000_000]
        assert (shared <= 1 + 1e-9).all()
        assert value == pytest.approx(document["result"]["objective"], rel=1e-9)
        assert document["result"]["gap"] <= 1e-9
        assert len(json.dumps(document)) < 50_000


def test_above_a_stated_number_of_devices_plans_are_by_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert planner.BY_GROUP_ABOVE == 10_000  # as the documentation has it
    monkeypatch.setattr(planner, "BY_GROUP_ABOVE", 100)
    small, large = plan(counted(90, 9, 1)), plan(counted(90, 9, 2))
    assert small.decision is not None
    assert large.decision is not None
    assert len(small.decision["cut"]) == 100
    assert set(large.decision) >= {"group", "devices"}
    for options in ({"by_group": False}, {"solver": "proportional_share"}):
        other = plan(counted(90, 9, 2), **options)  # type: ignore[arg-type]
        assert other.decision is not None
        assert len(other.decision["cut"]) == 101
    other = plan(counted(90, 9, 2), by_group=False)
    assert other.result["objective"] == pytest.approx(large.result["objective"], rel=1e-9)


HEADER = "name,compute [GFLOP/s],samples,batch_size,uplink [Mbit/s],memory [MB]"


@pytest.fixture
def forms(tmp_path: Path) -> dict[str, Path]:
    """Write one fleet of 60 different devices as entries, CSV and, where it can be, Parquet."""
    rng = np.random.default_rng(4)
    rows = [
        (f"d{k}", round(float(rng.uniform(1, 90)), 3), int(rng.integers(99, 5000)), 32,
         round(float(rng.uniform(50, 900)), 2), int(rng.choice([400, 4000])))
        for k in range(60)
    ]  # fmt: skip
    head = json.dumps({**FLEET, "devices": {"file": "fleet.csv"}, "model": "resnet18-imagenet",
                       "privacy": {}})  # fmt: skip
    (tmp_path / "fleet.csv").write_text(
        "\n".join([HEADER, *(",".join(map(str, row)) for row in rows)])
    )
    entries = [
        {"name": name, "compute": f"{speed} GFLOP/s", "samples": samples, "batch_size": size,
         "uplink": f"{rate} Mbit/s", "memory": f"{memory} MB"}
        for name, speed, samples, size, rate, memory in rows
    ]  # fmt: skip
    (tmp_path / "csv.json").write_text(head)
    (tmp_path / "yaml.json").write_text(json.dumps({**json.loads(head), "devices": entries}))
    found = {"csv": tmp_path / "csv.json", "yaml": tmp_path / "yaml.json"}
    try:
        import pyarrow.parquet
    except ImportError:
        return found
    columns = dict(zip(HEADER.split(","), map(list, zip(*rows, strict=True)), strict=True))
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "fleet.parquet")
    (tmp_path / "parquet.json").write_text(head.replace("fleet.csv", "fleet.parquet"))
    return {**found, "parquet": tmp_path / "parquet.json"}


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("as_entries", [1, 10_000])
def test_every_form_of_a_fleet_gives_the_same_plan(
    forms: dict[str, Path], monkeypatch: pytest.MonkeyPatch, as_entries: int, objective: str
) -> None:
    monkeypatch.setattr(device_list, "AS_ENTRIES", as_entries)
    plans = {name: plan(path, objective=objective, by_group=True) for name, path in forms.items()}
    single = plan(forms["yaml"], objective=objective, by_group=False)
    for name, found in plans.items():
        assert found.decision == plans["yaml"].decision, name
        assert found.prediction == plans["yaml"].prediction, name
        assert found.notes == plans["yaml"].notes, name
        assert open_plan(found).plan.to_dict() == found.to_dict()
    assert plans["csv"].result["objective"] == pytest.approx(single.result["objective"], rel=1e-9)
    by_one = plan(forms["csv"], objective=objective, by_group=False)
    assert by_one.decision == single.decision


def test_tables_of_many_parts_are_bounded(
    forms: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_group, "MOST_ROWS", 50)
    found = plan(forms["csv"], by_group=True)
    assert found.prediction is not None
    groups = found.prediction["groups"]
    rounds = [row["round_s"] for row in groups["rows"]]
    assert (groups["parts"], len(rounds)) == (60, 50)
    assert all(later <= one * (1 + 2e-6) for one, later in itertools.pairwise(rounds))
    assert max(rounds) == found.prediction["round_s"]
    table = summarize(found).tables[0]
    assert len(table.rows) == 40
    assert "the 40 of 60 with the longest rounds" in table.caption


@pytest.mark.slow
def test_the_memory_of_a_server_is_kept_by_groups_as_by_devices(tmp_path: Path) -> None:
    changes = {"model": "resnet18-imagenet", "privacy": {}}
    free = plan(counted(9, 5, 2, **changes))
    assert free.decision is not None
    for memory in ("3 GiB", "300 MiB", "1 MiB"):
        servers = [{"name": "edge", "compute": "2 TFLOP/s", "memory": memory}]
        fleet = counted(9, 5, 2, **changes, servers=servers)
        one, other = (plan(fleet, by_group=grouped) for grouped in (True, False))
        assert one.result["outcome"] == other.result["outcome"] == "optimal"
        assert one.result["objective"] == pytest.approx(other.result["objective"], rel=1e-8)
        assert one.prediction is not None
        assert other.prediction is not None
        used, expected = one.prediction["budgets"][0], other.prediction["budgets"][0]
        assert used["limit"] == expected["limit"]
        assert used["used"] <= used["limit"] * (1 + 1e-9)
        assert used["per_percent"] == pytest.approx(expected["per_percent"], rel=1e-4, abs=1e-6)


def test_nobody_has_a_cut_where_the_limit_is_too_strict() -> None:
    fleet = counted(50_000_000, 1, 1, privacy={"leakage_limit": 0.001})
    one, other = plan(fleet), plan(counted(5, 1, 1, privacy={"leakage_limit": 0.001}))
    assert one.result["outcome"] == "infeasible"
    words = "the lowest that can be reached is"
    assert words in one.result["message"]
    assert not open_plan(one).plan.is_feasible
    assert one.result["message"].split(words)[1] == other.result["message"].split(words)[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "FLEET", "--scheme", "splitfed_v1"],
        ["plan", "FLEET", "--by-device"],
        ["plan", "FLEET", "--solver", "dp_mora"],
        ["compare", "FLEET"],
        ["tradeoff", "FLEET"],
    ],
)
def test_what_needs_single_devices_refuses_a_huge_fleet_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    (tmp_path / "fleet.json").write_text(json.dumps(counted(10**9, 5, 2)))
    words = [str(tmp_path / "fleet.json") if word == "FLEET" else word for word in arguments]
    assert run(words) == 2
    said = capsys.readouterr().err.strip()
    assert "device by device, for at most 200,000" in said
    assert "state a smaller 'count'" in said.replace("\n", " ")


def test_training_a_huge_plan_is_refused_in_one_sentence() -> None:
    made = plan(counted(10**8, 5, 2))
    with pytest.raises(InputError, match="takes a plan device by device, for at most 200,000"):
        by_device(open_plan(made))
    with pytest.raises(InputError, match="schemes are compared device by device"):
        compare_schemes(counted(10**8, 5, 2))


def test_other_questions_are_not_asked_by_group() -> None:
    with pytest.raises(InputError, match="by_group: is for cut_and_resources"):
        plan(FLEET, scheme="splitfed_v1", by_group=True)


def test_plans_of_shipped_scenarios_are_by_device() -> None:
    made = plan("dp-mora-resnet18")
    assert made.prediction is not None
    assert "groups" not in made.prediction
    assert Scenario.from_dict(made.scenario).device_count() == len(made.prediction["devices"])


@pytest.mark.slow
@pytest.mark.train
def test_a_small_plan_by_group_is_trained_as_by_device() -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    grouped, single = (
        splitopt.train(plan("digits-splitfed", by_group=by), rounds=1) for by in (True, False)
    )
    assert grouped.history.clock_s == pytest.approx(single.history.clock_s, rel=1e-9)
    assert grouped.history.rows[-1].loss == single.history.rows[-1].loss
