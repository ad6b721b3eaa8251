"""Priorities and energy: against a convex solver, by hand, and through every kind of solver."""

from __future__ import annotations

import itertools
import json

import cvxpy as cp
import numpy as np
import pytest

from splitopt import CutAndResources, InputError, Scenario, load_problem, plan, solve

OBJECTIVES = ("sum", "makespan", "energy", "latency_energy")


@pytest.fixture
def priced(random_problem):
    """Return a function that draws a problem with priorities, powers and a price of energy."""

    def draw(seed, objective, devices=3, layers=3):
        rng = np.random.default_rng(1000 + seed)
        return CutAndResources(
            **random_problem(seed, devices=devices, layers=layers, masked=True).data(),
            objective=objective,
            priority=rng.uniform(0.2, 5.0, devices),
            device_w=rng.uniform(1.0, 10.0, devices),
            radio_w=rng.uniform(0.1, 2.0, devices),
            seconds_per_joule=0.3,
        )

    return draw


def brute_force(problem):
    """Solve the shares of every vector of cuts with a conic solver, from the definitions alone."""
    best = np.inf
    rows = np.arange(problem.devices)
    for cuts in itertools.product(*[np.flatnonzero(row) for row in problem.allowed]):
        a, b, c, d = (
            getattr(problem, f"{name}_s")[rows, cuts]
            for name in ("download", "upload", "server", "device")
        )
        energy = problem.device_w @ d + problem.radio_w @ b
        if problem.objective == "energy":
            best = min(best, energy)
            continue
        share = cp.Variable((3, problem.devices), nonneg=True)
        latency = cp.hstack(
            [
                d[n] + sum(part[n] * cp.inv_pos(share[i, n]) for i, part in needs if part[n] > 0)
                for needs in [list(enumerate((a, b, c)))]
                for n in rows
            ]
        )
        weighted = cp.multiply(problem.priority, latency)
        value = cp.max(weighted) if problem.objective == "makespan" else cp.sum(weighted)
        if problem.objective == "latency_energy":
            value += problem.seconds_per_joule * energy
        asked = cp.Problem(cp.Minimize(value), [cp.sum(share, axis=1) <= 1])
        best = min(best, asked.solve(solver=cp.CLARABEL))
    return best


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", [0, 1])
def test_optimum_against_a_conic_solver(priced, objective, seed):
    """Exact and enumeration agree with shares found by a conic solver for every cut vector."""
    problem = priced(seed, objective)
    expected = brute_force(problem)
    for solver in ("exact", "enumerate"):
        result = solve(problem, solver)
        assert result.outcome == "optimal"
        assert result.objective == pytest.approx(expected, rel=1e-6)
        assert problem.evaluate(result.decision) == result.objective


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_plain_problem_has_the_same_values(priced, objective):
    """Any decision is worth the same in the plain problem that solvers see."""
    problem = priced(3, objective)
    decision = problem.complete(problem.allowed.argmax(axis=1) + 1)
    assert problem.plain.evaluate(decision) == pytest.approx(problem.evaluate(decision), rel=1e-12)
    assert problem.plain.plain is problem.plain


def test_energy_by_hand():
    """5 W for 3 s of computing and 2 W for 4 s of sending are 23 J, whatever the shares."""
    one = np.ones((1, 1))
    problem = CutAndResources(
        one,
        4 * one,
        one,
        3 * one,
        one > 0,
        objective="energy",
        device_w=np.array([5.0]),
        radio_w=np.array([2.0]),
    )
    result = solve(problem)
    assert result.objective == 23.0
    assert result.decision.upload_share[0] > 0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_rules_and_bounds_hold(priced, objective):
    """A rule's answer is feasible and its bound below the optimum, for every objective."""
    problem = priced(5, objective)
    rule = solve(problem, "equal_share")
    best = solve(problem, "exact")
    assert rule.outcome in ("feasible", "optimal")
    assert rule.bound <= best.objective * (1 + 1e-9)
    assert rule.objective >= best.objective * (1 - 1e-9)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_files_carry_the_fields(priced, tmp_path, suffix):
    """Priorities, powers and the price survive both file formats."""
    problem = priced(1, "latency_energy")
    problem.save(tmp_path / f"p{suffix}")
    again = load_problem(tmp_path / f"p{suffix}")
    assert again.objective == "latency_energy"
    assert again.seconds_per_joule == 0.3
    for name in ("priority", "device_w", "radio_w"):
        assert np.array_equal(getattr(again, name), getattr(problem, name))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"priority": [1.0, 0.0, 1.0]}, r"priority\[1\]: is 0"),
        ({"priority": [1.0]}, "priority: is 1"),
        ({"device_w": [1.0, -1.0, 1.0]}, r"device_w\[1\]: is -1"),
        ({"seconds_per_joule": -1}, "seconds_per_joule: is -1"),
        ({"seconds_per_joule": "much"}, "seconds_per_joule: is 'much'"),
        ({"device_w": None}, "data.device_w: is missing, the objective"),
        ({"seconds_per_joule": None}, "data.seconds_per_joule: is missing"),
    ],
)
def test_bad_fields_are_named(priced, tmp_path, change, words):
    """A wrong or missing field of priorities and energy is one sentence."""
    document = priced(1, "latency_energy").to_document()
    document["data"] |= change
    document["data"] = {k: v for k, v in document["data"].items() if v is not None}
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=words):
        load_problem(path)


def energetic(**changes):
    """Return a scenario whose devices state their powers."""
    devices = [
        {
            "name": "old",
            "compute": 5e9,
            "samples": 2000,
            "compute_power": 6.0,
            "transmit_power": 0.5,
        },
        {
            "name": "new",
            "compute": 2e10,
            "samples": 3000,
            "compute_power": 9.0,
            "transmit_power": 0.5,
        },
    ]
    devices[0] |= changes
    return Scenario.from_si(
        {
            "model": "dp-mora-resnet18",
            "devices": devices,
            "links": {"downlink": "50 Mbit/s", "uplink": "20 Mbit/s"},
            "servers": [{"name": "edge", "compute": "100 GFLOP/s"}],
            "tradeoff": {"seconds_per_joule": 0.5},
        }
    )


@pytest.mark.parametrize("objective", ["energy", "latency_energy"])
def test_worth_is_the_derivative(objective):
    """What more of a resource saves agrees with solving again, also in joule."""
    made = plan(energetic(), objective=objective)
    step = 1e-6
    for row in made.prediction["worth"]:
        values = []
        for factor in (1 - step, 1 + step):
            document = energetic().model_dump()
            document["model"] = {"profile": "dp-mora-resnet18"}
            if row["resource"] == "server":
                document["servers"][0]["compute"] *= factor
            elif row["resource"] in ("downlink", "uplink"):
                document["links"][row["resource"]]["rate"] *= factor
            else:
                for device in document["devices"]:
                    if row["resource"] == f"device {device['name']}":
                        device["compute"] *= factor
            asked = CutAndResources.from_scenario(Scenario.from_si(document), None, objective)
            values.append(solve(asked).objective)
        slope = (values[0] - values[1]) / (2 * step)
        assert row["per_percent"] == pytest.approx(slope / 100, rel=1e-3, abs=1e-6)


def test_energy_is_in_the_plan():
    """Devices that state their powers have their energy in the plan, in J."""
    made = plan(energetic(), objective="energy")
    assert made.prediction["objective_unit"] == "J"
    assert made.prediction["energy_j"] == pytest.approx(made.result["objective"])
    assert "energy_j" not in plan(Scenario.generate(devices=2)).prediction


def test_a_priority_shortens_that_round():
    """A device that counts ten times gets through its round sooner than before."""
    before = plan(energetic()).prediction["devices"][0]["round_s"]
    after = plan(energetic(priority=10.0)).prediction["devices"][0]["round_s"]
    assert after < before


def test_a_device_has_its_own_leakage_limit():
    """A limit of one device binds only there, and its failure names only that device."""
    profile = energetic().load_model()
    limit = float(np.sort(profile.leakage)[1])
    strict = CutAndResources.from_scenario(energetic(leakage_limit=limit))
    assert strict.allowed[0].tolist() == (profile.leakage <= limit).tolist()
    assert strict.allowed[1].all()
    message = plan(energetic(leakage_limit=0.0001)).result["message"]
    assert "devices old)" in message
    assert "0.0001" in message


def test_energy_without_powers_is_refused():
    """An objective that needs powers says which are missing."""
    with pytest.raises(InputError, match="compute_power of every device"):
        plan(Scenario.generate(devices=2), objective="energy")
