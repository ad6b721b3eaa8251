"""Devices with a downlink and an uplink of their own: by brute force, through every solver."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt import (
    CapabilityError,
    CutAndResources,
    InputError,
    Scenario,
    load_problem,
    plan,
    simulate,
    solve,
)
from splitopt.solvers import SOLVERS
from splitopt.solvers.cut_and_resources.relaxation import root_bound

OBJECTIVES = ("sum", "makespan", "energy", "latency_energy")


@pytest.fixture
def own(random_problem):
    """Return a function that draws a problem whose links nobody shares, with all other fields."""

    def draw(seed, objective, devices=3, layers=3, plain=False):
        rng = np.random.default_rng(500 + seed)
        fields = (
            {}
            if plain
            else {
                "priority": rng.uniform(0.3, 3.0, devices),
                "device_w": rng.uniform(1.0, 9.0, devices),
                "radio_w": rng.uniform(0.1, 2.0, devices),
                "seconds_per_joule": 0.4,
            }
        )
        return CutAndResources(
            **random_problem(seed, devices=devices, layers=layers, masked=True).data(),
            **fields,
            objective=objective,
            shared_links=False,
        )

    return draw


def value_of_cuts(problem, cuts):
    """Return the best value for 0-based cuts: only the server is divided, so that it is elementary.

    The sum is (sum of the roots of weighted server seconds) squared; the makespan T solves
    sum of w c / (T - w (a + b + d)) = 1, found by bisection.
    """
    rows = np.arange(problem.devices)
    a, b, c, d = (
        getattr(problem, f"{name}_s")[rows, cuts]
        for name in ("download", "upload", "server", "device")
    )
    energy = 0.0
    if problem.device_w is not None:
        energy = float(problem.device_w @ d + problem.radio_w @ b)
    if problem.objective == "energy":
        return energy
    w = np.ones(problem.devices) if problem.priority is None else problem.priority
    alone, served = w * (a + b + d), w * c
    if problem.objective == "makespan":
        low, high = alone.max(), alone.max() + served.sum()
        for _ in range(200):
            middle = (low + high) / 2
            with np.errstate(divide="ignore", invalid="ignore"):
                need = np.where(served > 0, served / (middle - alone), 0.0).sum()
            low, high = (middle, high) if need > 1 else (low, middle)
        return high
    total = np.sqrt(served).sum() ** 2 + alone.sum()
    return total + (
        problem.seconds_per_joule * energy if problem.objective == "latency_energy" else 0
    )


def brute_force(problem):
    """Return the least value over all vectors of allowed cuts."""
    allowed = [np.flatnonzero(row) for row in problem.allowed]
    return min(value_of_cuts(problem, np.array(cuts)) for cuts in itertools.product(*allowed))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(6))
def test_exact_and_enumeration_against_brute_force(own, objective, seed):
    """Both prove the optimum that brute force finds; nobody has a share of a link."""
    problem = own(seed, objective, devices=2 + seed % 3)
    expected = brute_force(problem)
    for solver in ("exact", "enumerate"):
        result = solve(problem, solver)
        assert result.outcome == "optimal"
        assert result.objective == pytest.approx(expected, rel=1e-9)
        assert problem.violations(result.decision) == {}
        if objective != "energy":
            assert not result.decision.upload_share.any()
            assert not result.decision.download_share.any()
    assert root_bound(problem) <= expected * (1 + 1e-9)


@pytest.mark.one_quick
@pytest.mark.parametrize("name", SOLVERS["cut_and_resources"])
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_every_solver_sees_the_same_problem(own, name, objective):
    """No value is below the optimum, no bound above it, and it is what the decision is worth."""
    problem = own(1, objective, plain=True)
    expected = brute_force(problem)
    try:
        result = solve(problem, name, time_limit_s=2.0)
    except CapabilityError:  # such as one whose licence is not there
        pytest.skip("not usable here")
    assert result.is_feasible, result.message
    assert result.objective >= expected * (1 - 1e-7)
    assert result.bound <= expected * (1 + 1e-7)
    if result.outcome == "optimal":
        assert result.objective == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_factors_are_the_same_problem(own, objective):
    """The form for large fleets has the same values, bounds and optimum as the tables."""
    tables = own(2, objective)
    names = ("download", "upload", "server", "device")
    factors = {"masks": tables.allowed, "mask": np.arange(tables.devices)}
    for name in names:
        factors[f"{name}_scales"] = getattr(tables, f"{name}_s").T
        factors[f"{name}_shapes"] = np.eye(tables.layers)
    fields = ("priority", "device_w", "radio_w", "seconds_per_joule", "weights", "shared_links")
    same = CutAndResources.from_factors(
        factors, objective, **{name: getattr(tables, name) for name in fields}
    )
    result = solve(same)
    assert result.objective == pytest.approx(brute_force(tables), rel=1e-9)
    assert tables.evaluate(result.decision) == pytest.approx(result.objective, rel=1e-12)
    again = same.with_objective("sum")
    assert again.shared_links is False
    assert same.restricted(tables.allowed).shared_links is False


def test_files_keep_it_and_old_ones_share(own, tmp_path, random_problem):
    """A file says so only where links are not shared; what is no boolean is refused."""
    problem = own(0, "sum")
    for name in ("own.json", "own.npz"):
        problem.save(tmp_path / name)
        read = load_problem(tmp_path / name)
        assert read.shared_links is False
        assert read.to_document() == problem.to_document()
    shared = random_problem(0, devices=2, layers=2)
    assert shared.shared_links is True
    assert "shared_links" not in shared.data()
    with pytest.raises(InputError, match="shared_links: is 'no', it must be true or false"):
        CutAndResources(**shared.data(), shared_links="no")


def scenario(shared, **links):
    """Return three unlike devices that share one server."""
    return Scenario.from_si(
        {
            "model": {"profile": "resnet18-imagenet"},
            "devices": [
                {
                    "name": "a",
                    "compute": 3e10,
                    "samples": 900,
                    "batch_size": 32,
                    "compute_power": 5.0,
                },
                {
                    "name": "b",
                    "compute": 9e10,
                    "samples": 700,
                    "batch_size": 50,
                    "uplink": {"rate": 3e7, "transmit_power": 0.3},
                    "compute_power": 7.0,
                },
                {"name": "c", "count": 2, "compute": 5e11, "samples": 400, "compute_power": 9.0},
            ],
            "links": {
                "downlink": {"rate": 8e7},
                "uplink": {"rate": 4e7, "transmit_power": 0.3},
                "shared": shared,
                **links,
            },
            "servers": [{"name": "edge", "compute": 1e12}],
            "training": {"epochs": 2},
        }
    )


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_a_plan_by_hand(objective):
    """Phases are bytes over the device's own rate; prediction, simulation and objective agree."""
    asked = scenario(False)
    made = plan(asked, objective=objective)
    profile = asked.load_model()
    rates = {"a": 4e7, "b": 3e7, "c-1": 4e7, "c-2": 4e7}
    samples = {"a": 900, "b": 700, "c-1": 400, "c-2": 400}
    for row in made.prediction["devices"]:
        at = row["cut"] - 1
        crossing = 2 * samples[row["name"]]
        up = 8 * (profile.device_model_bytes[at] + crossing * profile.smashed_bytes[at])
        down = 8 * (profile.device_model_bytes[at] + crossing * profile.gradient_bytes[at])
        assert row["upload_s"] == pytest.approx(up / rates[row["name"]], rel=1e-12)
        assert row["download_s"] == pytest.approx(down / 8e7, rel=1e-12)
        assert row["upload_share"] == row["download_share"] == 1.0
    replay = simulate(made)
    assert replay.simulated_s == pytest.approx(made.prediction["round_s"], rel=1e-9)
    used = {u.resource.name: u.busy_s for u in replay.timeline.usage}
    for row in made.prediction["devices"]:
        assert used[f"uplink of {row['name']}"] == pytest.approx(row["upload_s"], rel=1e-9)
    assert made.notes[0] == (
        "every device has a downlink of its own of 80 Mbit/s and an uplink of its own of "
        "30 Mbit/s to 40 Mbit/s by device"
    )


def test_own_links_are_never_slower():
    """What was a share of the link becomes all of it, so that no device waits longer."""
    for objective in ("sum", "makespan"):
        shared, own_ = (plan(scenario(s), objective=objective) for s in (True, False))
        assert own_.result["objective"] < shared.result["objective"]
        assert shared.notes[0].startswith(
            "devices share one downlink of 80 Mbit/s and one uplink of"
        )


@pytest.mark.parametrize("objective", ["sum", "makespan", "latency_energy"])
def test_worth_is_the_derivative(objective):
    """A little more of each row's resource, solved again at the same cuts, saves what it says."""
    document = scenario(False).to_dict()
    document["tradeoff"] = {"seconds_per_joule": 0.5}
    document["devices"][0]["uplink"] = {"rate": "35 Mbit/s", "transmit_power": "0.2 W"}
    base = Scenario.from_dict(document)
    made = plan(base, objective=objective)
    cuts = np.array(made.decision["cut"])
    problem = CutAndResources.from_scenario(base, objective=objective)
    member = {"a": [0], "b": [1], "c (2)": [2, 3]}
    for row in made.prediction["worth"]:
        words = row["resource"]
        if words == "server":
            table, rows = "server_s", slice(None)
        else:
            table = {"down": "download_s", "upli": "upload_s", "devi": "device_s"}[words[:4]]
            rows = member[words.split(" ", 2 if " of " in words else 1)[-1]]
        values = []
        for factor in (1 - 1e-6, 1 + 1e-6):
            changed = getattr(problem, table).copy()
            changed[rows] /= factor
            other = CutAndResources(**(problem.data() | {table: changed}), objective=objective)
            values.append(other.evaluate(other.complete(cuts)))
        slope = (values[0] - values[1]) / 2e-6
        assert row["per_percent"] == pytest.approx(slope / 100, rel=1e-3, abs=1e-6), words


@pytest.mark.slow
def test_the_curves_follow():
    """The relaxed device curve of own links is that of device and links together."""
    asked = Scenario.load("dp-mora-resnet18")
    own_ = asked.model_copy(update={"links": asked.links.model_copy(update={"shared": False})})
    shared, plain = (CutAndResources.from_scenario(s).plain for s in (asked, own_))
    for family, coefficients in plain.curves.items():
        assert not coefficients[:, :2].any()
        before = shared.curves[family]
        np.testing.assert_allclose(coefficients[:, 3], before[:, [0, 1, 3]].sum(axis=1), rtol=1e-12)
        np.testing.assert_array_equal(coefficients[:, 2], before[:, 2])
    found = solve(CutAndResources.from_scenario(own_), "dp_mora", seed=1)
    best = solve(CutAndResources.from_scenario(own_), "exact")
    assert best.outcome == "optimal"
    assert best.objective * (1 - 1e-9) <= found.objective <= 1.2 * best.objective
