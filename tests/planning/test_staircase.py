"""The staircase of optima over the limit on leakage, against enumeration limit by limit."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from splitopt import Scenario, plan
from splitopt.errors import InputError
from splitopt.planning.staircase import leakage_staircase, with_limit
from splitopt.profiles import ModelProfile

LAYERS = 6


def fleet(tmp_path, seed, leakage, devices=3):
    """Write a profile with this leakage, and return a small random fleet that trains it."""
    drawn = Scenario.generate(seed, devices)
    rng = np.random.default_rng(seed)
    work, sizes = (np.sort(rng.uniform(1, 9, LAYERS)) for _ in range(2))
    document = {
        "format": "splitopt-profile",
        "version": 1,
        "name": "drawn",
        "work_unit": "FLOP",
        "layers": [f"layer{k}" for k in range(1, LAYERS + 1)],
        "device_forward_flop": list(1e7 * work),
        "device_backward_flop": list(2e7 * work),
        "server_forward_flop": list(1e7 * (work[-1] - work)),
        "server_backward_flop": list(2e7 * (work[-1] - work)),
        "smashed_bytes": [*(1e5 * sizes[::-1][:-1]), 0.0],
        "gradient_bytes": [*(1e5 * sizes[::-1][:-1]), 0.0],
        "device_model_bytes": list(1e5 * sizes),
        "leakage": list(leakage),
        "provenance": {"kind": "computed", "source": "drawn"},
    }
    path = tmp_path / f"drawn-{seed}.json"
    path.write_text(json.dumps(document))
    assert ModelProfile.load(path).leakage is not None
    given = drawn.to_dict()
    given["model"] = {"file": str(path)}
    return Scenario.from_dict(given)


def enumerated(scenario, limit, objective):
    """Return the least objective within a limit, by trying every vector of cuts."""
    found = plan(with_limit(scenario, limit), objective=objective, solver="enumerate")
    return found.result["objective"] if found.is_feasible else None


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["makespan", "sum"])
@pytest.mark.parametrize("seed", range(4))
def test_every_limit_has_the_optimum_of_enumeration(tmp_path, seed, objective):
    """At every leakage of a cut, just below it, and between two: no step is missing or moved."""
    rng = np.random.default_rng(seed)
    leakage = rng.permutation(np.round(rng.uniform(0.1, 0.9, LAYERS), 2))
    scenario = fleet(tmp_path, seed, leakage)
    found = leakage_staircase(scenario, objective=objective)
    assert found.is_proved
    values = np.unique(leakage)
    middles = (values[1:] + values[:-1]) / 2
    for limit in (*values, *middles, *np.nextafter(values, 0), 1.0):
        wanted, stair = enumerated(scenario, float(limit), objective), found.at(limit)
        assert (wanted is None) == (stair is None)
        if stair is not None:
            assert stair.objective == pytest.approx(wanted, rel=1e-9)
            assert stair.below is None or limit < stair.below
    objectives = [stair.objective for stair in found.stairs]
    assert all(b > a for a, b in itertools.pairwise(objectives))
    for stair in found.stairs:
        assert stair.limit == max(leakage[cut - 1] for cut in stair.plan.decision["cut"])


def test_of_equal_optima_the_one_that_leaks_less_is_kept(tmp_path):
    """With leakage that falls where the fastest cut is, the fastest plan is the only step."""
    scenario = fleet(tmp_path, 1, [0.5] * LAYERS)
    (alone,) = leakage_staircase(scenario).stairs
    assert (alone.limit, alone.below) == (0.5, None)
    fastest = {cut - 1 for cut in alone.plan.decision["cut"]}
    leakage = [0.1 if cut in fastest else 0.9 for cut in range(LAYERS)]
    (kept,) = leakage_staircase(fleet(tmp_path, 1, leakage)).stairs
    assert kept.limit == 0.1
    assert kept.objective == pytest.approx(alone.objective)


def test_a_device_keeps_its_own_limit(tmp_path):
    """It follows no common one, so that its leakage makes no step."""
    leakage = np.linspace(0.9, 0.2, LAYERS)
    document = fleet(tmp_path, 2, leakage).to_dict()
    document["devices"][0]["leakage_limit"] = 0.25
    first = document["devices"][0].get("count", 1)
    found = leakage_staircase(Scenario.from_dict(document))
    for stair in found.stairs:
        cuts = np.array(stair.plan.decision["cut"]) - 1
        assert (leakage[cuts[:first]] <= 0.25).all()
        assert stair.limit == leakage[cuts[first:]].max()


def test_below_the_last_step_there_is_none(tmp_path):
    """Memory that only the first cut fits, which leaks most: one step, and why no other."""
    document = fleet(tmp_path, 3, np.linspace(0.9, 0.2, LAYERS)).to_dict()
    path = Path(document["model"]["file"])
    profile = json.loads(path.read_text())
    profile["device_memory_fixed_bytes"] = [1e6 * 4**k for k in range(LAYERS)]
    profile["device_memory_per_sample_bytes"] = [0.0] * LAYERS
    path.write_text(json.dumps(profile))
    for device in document["devices"]:
        device["memory"], device["batch_size"] = "2 MB", 8
    found = leakage_staircase(Scenario.from_dict(document))
    (stair,) = found.stairs
    assert stair.limit == 0.9
    assert "memory" in found.message


def test_infeasible_whatever_the_limit(tmp_path):
    document = fleet(tmp_path, 3, [0.5] * LAYERS).to_dict()
    document["devices"][0]["leakage_limit"] = 0.4
    found = leakage_staircase(Scenario.from_dict(document))
    assert found.stairs == ()
    assert "leakage limit" in found.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["devices"].__setitem__(slice(None), [
            {**one, "leakage_limit": 0.5} for one in d["devices"]]), "each has a leakage_limit"),
        (lambda d: d.update(model="resnet101-cifar"), "has no leakage for its cuts"),
    ],
)  # fmt: skip
def test_what_has_no_staircase(tmp_path, change, words):
    document = fleet(tmp_path, 0, [0.5] * LAYERS).to_dict()
    change(document)
    with pytest.raises(InputError, match=words):
        leakage_staircase(Scenario.from_dict(document))


def test_another_question_is_refused():
    with pytest.raises(InputError, match="asks for pipeline_partition"):
        leakage_staircase("digits-pipeline")


def test_published_fleet_as_published():
    """DP-MORA's ResNet-18 at its limit of 0.5: the makespan of the plan of that limit."""
    found = leakage_staircase("dp-mora-resnet18")
    wanted = plan("dp-mora-resnet18", objective="makespan")
    assert found.at(0.5).objective == pytest.approx(wanted.result["objective"], rel=1e-9)
    assert found.at(0.5).plan.decision["cut"] == wanted.decision["cut"]
    assert any("is a guess" in note for note in found.notes)
