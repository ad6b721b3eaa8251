"""Robust plans from scenarios: what they promise, whom they name, and what protection costs."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from splitopt import InputError, Scenario, plan, simulate
from splitopt.cli.entry import run
from splitopt.planning.planner import open_plan
from splitopt.planning.robust_curve import robust_curve
from tests.robust_cases import scenarios, slowed_latencies

SLOW = {"devices": 1, "compute": 3.0, "links": 1.5}


def document(**robust):
    """Return a scenario of four devices."""
    return {
        "format": "splitopt-scenario",
        "version": 1,
        "model": "dp-mora-resnet18-recovered",
        "devices": [
            {"name": "pi", "count": 3, "compute": "2 GFLOP/s", "samples": 400},
            {"name": "nano", "compute": "60 GFLOP/s", "samples": 900},
        ],
        "links": {"downlink": "100 Mbit/s", "uplink": "50 Mbit/s"},
        "servers": [{"name": "edge", "compute": "200 GFLOP/s"}],
        "robust": robust,
    }


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_a_plan_states_its_worst_case(objective, tmp_path):
    made = plan(document(slow=SLOW), objective=objective)
    opened = open_plan(made)
    problem, decision = opened.problem, opened.decision
    rows = [slowed_latencies(problem, decision, part) for part in scenarios(problem)]
    worst = max(row.sum() if objective == "sum" else row.max() for row in rows)
    found = made.prediction["worst_case"]
    assert found["worst_s"] == pytest.approx(worst, rel=1e-12)
    assert found["worst_s"] == made.result["objective"]
    assert found["nominal_s"] < found["worst_s"]
    assert (found["slow_devices"], found["quorum"], found["left_out"]) == (1, 4, [])
    assert len(found["slow"]) == 1
    for n, device in enumerate(made.prediction["devices"]):
        alone = slowed_latencies(problem, decision, np.arange(4) == n)
        assert device["slow_round_s"] == pytest.approx(alone[n], rel=1e-12)
    made.save(tmp_path / "plan.json")
    assert run(["report", str(tmp_path / "plan.json"), "-o", str(tmp_path / "plan.html")]) == 0


@pytest.mark.slow
def test_worth_is_the_slope_of_the_worst_case():
    """One percent more of the server, by planning the same cuts anew."""
    given = document(slow=SLOW)
    made = plan(given, objective="sum")
    row = next(row for row in made.prediction["worth"] if row["resource"] == "server")
    given["servers"][0]["compute"] = "200.02 GFLOP/s"
    faster = open_plan(plan(given, objective="sum"))
    kept = open_plan(made).decision.cut
    value = faster.problem.evaluate(faster.problem.complete(kept))
    saved = made.result["objective"] - value
    assert row["per_percent"] == pytest.approx(100 * saved, rel=1e-2)


def test_who_is_left_out_of_a_quorum_gets_nothing():
    made = plan(document(quorum=3), objective="sum")
    (left,) = made.prediction["worst_case"]["left_out"]
    row = next(row for row in made.prediction["devices"] if row["name"] == left)
    assert row["left_out"] is True
    assert row["round_s"] == row["server_share"] == 0
    assert dict(simulate(made).facts)["Left out by the plan"] == left


def test_robust_plans_are_not_by_group():
    with pytest.raises(InputError, match="by_group: is not for worst cases"):
        plan(document(slow=SLOW), by_group=True)


@pytest.mark.parametrize(
    ("robust", "words"),
    [
        ({"slow": {"devices": 5, "compute": 2}}, "robust.slow.devices: is 5, it must be at most"),
        ({"quorum": 5}, "robust.quorum: is 5, it must be at most the 4 devices"),
        ({"slow": {"devices": 1}}, "nothing that is slow; give 'compute' or 'links'"),
        ({"slow": {"devices": 1, "compute": 0.5}}, "robust.slow.compute"),
        ({"slow": {"count": 1, "compute": 2}}, "devices"),
        ({"quorum": 0}, "robust.quorum"),
    ],
)
def test_wrong_sections_are_named(robust, words):
    with pytest.raises(InputError, match=words):
        Scenario.from_dict(document(**robust))


def test_energy_has_no_worst_case():
    with pytest.raises(InputError, match="'energy', it must be 'sum' or 'makespan'"):
        plan(document(slow=SLOW), objective="energy")


@pytest.mark.slow
def test_curve_rises_and_protects():
    curve = robust_curve(document(slow=SLOW), [2, 0, 1], objective="sum")
    assert [point.slow for point in curve.points] == [0, 1, 2]
    worst = [point.worst_s for point in curve.points]
    assert worst == sorted(worst)
    for point in curve.points:
        assert point.is_proved
        assert point.nominal_s >= curve.points[0].nominal_s * (1 - 1e-9)
        assert point.worst_s <= point.unprotected_s * (1 + 1e-9)


@pytest.mark.slow
def test_tradeoff_verb_prints_and_writes_the_curve(tmp_path, capsys):
    scenario, out, page = (tmp_path / name for name in ("s.yaml", "curve.json", "curve.html"))
    Scenario.from_dict(document(slow=SLOW)).save(scenario)
    arguments = ["tradeoff", str(scenario), "--robust", "0,1", "-o", str(out)]
    assert run([*arguments, "--report", str(page)]) == 0
    assert "2 plans, each an optimum by proof" in " ".join(capsys.readouterr().out.split())
    assert json.loads(out.read_text())["format"] == "splitopt-robust-curve"
    assert "<svg" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--robust", "0,x"), "--robust: has 'x'"),
        (("--robust", "9"), "--robust: has 9.0; each must be a number from 0 to the 4 devices"),
        (("--robust", "1,1"), "--robust: has the same number twice"),
        (("--robust", "1", "--epsilon", "2"), "--robust trains nothing"),
    ],
)
def test_wrong_numbers_are_refused(arguments, words, tmp_path, capsys):
    Scenario.from_dict(document(slow=SLOW)).save(tmp_path / "s.yaml")
    assert run(["tradeoff", str(tmp_path / "s.yaml"), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_curve_needs_the_factors():
    with pytest.raises(InputError, match=r"robust\.slow: is missing"):
        robust_curve(document(quorum=2), [1])


def replayed_value(problem, decision, found):
    """Return what a plan minimises, of a replayed round; a sum's devices were chosen before."""
    if problem.objective == "makespan":
        return found.simulated_s
    ends = dict.fromkeys(found.timeline.owners, 0.0)
    for task in found.timeline:
        ends[task.owner] = max(ends[task.owner], task.end_s)
    chosen = problem.worst_case(decision).counted
    names = [f"pi-{n}" for n in (1, 2, 3)] + ["nano"]
    return sum(ends[name] for name, counts in zip(names, chosen, strict=True) if counts)


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("quorum", [None, 3])
def test_the_worst_replay_is_that_of_the_worst_set(objective, quorum):
    """Every set of slow devices is replayed; the plan insures the longest round, and says so."""
    slow = {"devices": 2, "compute": 3.0} | ({} if quorum is None else {"links": 1.5})
    made = plan(document(slow=slow, **({} if quorum is None else {"quorum": quorum})),
                objective=objective)  # fmt: skip
    opened = open_plan(made)
    names, values = [device.name for device in opened.scenario.fleet()], {}
    for chosen in itertools.combinations(names, 2):
        found = simulate(made, slow=chosen)
        values[chosen] = replayed_value(opened.problem, opened.decision, found)
        assert found.timeline.origin["slow"] == list(chosen)
        assert not found.timeline.overloads()
    found, worst = simulate(made), simulate(made, slow="worst")
    told = found.insured
    assert told == worst.insured
    assert told.worst_s == pytest.approx(max(values.values()), rel=1e-12)
    assert told.worst_s == pytest.approx(made.result["objective"], rel=1e-9)
    assert told.planned_s == made.result["objective"]
    assert replayed_value(opened.problem, opened.decision, worst) == told.worst_s
    assert told.nominal_s == pytest.approx(made.prediction["worst_case"]["nominal_s"], rel=1e-9)
    assert (found.simulated_s, worst.simulated_s) == (told.nominal_round_s, told.worst_round_s)
    assert found.simulated_s == simulate(made, slow=[]).simulated_s
    assert f"then slow: {told.slow[0]}" in dict(found.facts)["At worst, 2 slow"]


def test_a_device_can_be_slow_in_part():
    """Of one and a half slow devices the second is half as much slower."""
    made = plan(document(slow={"devices": 1.5, "compute": 3.0}), objective="sum")
    opened = open_plan(made)
    told = simulate(made).insured
    rows = [slowed_latencies(opened.problem, opened.decision, p) for p in scenarios(opened.problem)]
    assert told.worst_s == pytest.approx(max(row.sum() for row in rows), rel=1e-9)
    assert "in part" in dict(simulate(made, slow="worst").facts)["Slow"]


def test_who_is_slow_is_said_by_name(tmp_path, capsys):
    """On the command line, in JSON, and what cannot be."""
    file, plain = tmp_path / "plan.json", tmp_path / "plain.json"
    made = plan(document(slow=SLOW), objective="makespan")
    made.save(file)
    plan("digits-splitfed").save(plain)
    assert run(["simulate", str(file), "--slow", "worst", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["simulated_s"] == pytest.approx(made.result["objective"])
    assert found["insured"]["slow"] == made.prediction["worst_case"]["slow"]
    assert run(["simulate", str(file), "--slow", "pi-1,nano"]) == 0
    assert "Slow: pi-1, nano" in capsys.readouterr().out
    for given, words in (
        ((file, "pi-9"), "slow: has 'pi-9', which is no device; did you mean 'pi-1'?"),
        ((plain, "worst"), "slow: is for plans of devices that may be slow"),
    ):
        assert run(["simulate", str(given[0]), "--slow", given[1]]) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(InputError, match="must be 'worst' or a list of the names"):
        simulate(made, slow=3)
