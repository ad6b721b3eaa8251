"""Large fleets given by factors: the same problem as with tables."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, Scenario, load_problem, solve
from splitopt.problems.cut_and_resources import tables as tables_module
from splitopt.problems.cut_and_resources.problem import FactoredCutAndResources
from splitopt.solvers.cut_and_resources.relaxation import large_fleet as large_module
from splitopt.solvers.cut_and_resources.relaxation import root_bound
from splitopt.solvers.cut_and_resources.relaxation.grouping import fleet_of
from splitopt.solvers.cut_and_resources.relaxation.root import solve_root


def draw_factors(seed=0, classes=4, layers=3, masked=True, counted=True):
    """Draw two terms for the traffic and one for the work."""
    rng = np.random.default_rng(seed)
    factors = {}
    for part, terms in (("download", 2), ("upload", 2), ("server", 1), ("device", 1)):
        factors[f"{part}_scales"] = rng.uniform(0.5, 5, (terms, classes))
        factors[f"{part}_shapes"] = rng.uniform(0, 3, (terms, layers))
    if masked:
        factors["masks"] = np.vstack((np.ones(layers, dtype=bool), rng.random((2, layers)) < 0.5))
        factors["masks"][:, 0] = True
        factors["mask"] = rng.integers(0, 3, classes)
    if counted:
        factors["count"] = rng.integers(1, 4, classes)
    return factors


def as_tables(factors, objective="sum", **optional):
    """Build the problem of tables by hand."""
    layers = factors["download_shapes"].shape[1]
    classes = factors["download_scales"].shape[1]
    count = factors.get("count", np.ones(classes, dtype=int))
    tables = {
        f"{part}_s": np.repeat(
            sum(
                np.outer(scale, shape)
                for scale, shape in zip(
                    factors[f"{part}_scales"], factors[f"{part}_shapes"], strict=True
                )
            ),
            count,
            axis=0,
        )
        for part in ("download", "upload", "server", "device")
    }
    masks = factors.get("masks", np.ones((1, layers), dtype=bool))
    allowed = np.repeat(masks[factors.get("mask", np.zeros(classes, dtype=int))], count, axis=0)
    return CutAndResources(**tables, allowed=allowed, objective=objective, **optional)


def same_answers(factored, dense, seed=0):
    """Compare all that is said about random decisions."""
    rng = np.random.default_rng(seed)
    for _ in range(5):
        cuts = rng.integers(1, dense.layers + 1, dense.devices)
        decision = dense.complete(cuts)
        own = factored.complete(cuts)
        np.testing.assert_allclose(own.download_share, decision.download_share, rtol=1e-12)
        assert factored.evaluate(decision) == pytest.approx(dense.evaluate(decision), rel=1e-13)
        np.testing.assert_allclose(factored.phases(own), dense.phases(own), rtol=1e-13)
        assert factored.violations(decision) == dense.violations(decision)


@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize(("masked", "counted"), [(True, True), (False, False), (True, False)])
def test_decisions_mean_the_same_as_with_tables(objective, masked, counted):
    """Values, shares, latencies and violations are those of the tables."""
    factors = draw_factors(1, masked=masked, counted=counted)
    factored = CutAndResources.from_factors(factors, objective)
    same_answers(factored, as_tables(factors, objective))


def test_no_table_is_built_to_answer():
    """Completing, checking and evaluating touch no table of all devices."""
    problem = CutAndResources.from_factors(draw_factors(2))
    decision = problem.complete(np.ones(problem.devices, dtype=int))
    assert not problem.violations(decision)
    assert np.isfinite(problem.evaluate(decision))
    assert problem.infeasibility() is None
    assert not {"download_s", "device_s", "allowed", "roots"} & set(vars(problem))


def test_tables_are_there_for_those_who_ask():
    """The lazy tables are the sums of products."""
    factors = draw_factors(3)
    factored, dense = CutAndResources.from_factors(factors), as_tables(factors)
    for table in ("download_s", "upload_s", "server_s", "device_s"):
        np.testing.assert_allclose(getattr(factored, table), getattr(dense, table), rtol=1e-14)
    assert (factored.allowed == dense.allowed).all()


@pytest.mark.parametrize("objective", ["sum", "makespan", "energy", "latency_energy"])
def test_priorities_and_energy_mean_the_same(objective):
    """The plain problem of an objective with priorities and energy has the same optimum."""
    factors = draw_factors(4)
    devices = int(factors["count"].sum())
    rng = np.random.default_rng(5)
    optional = {
        name: rng.uniform(0.5, 2, devices) for name in ("priority", "device_w", "radio_w")
    } | {"seconds_per_joule": 0.3}
    factored = CutAndResources.from_factors(factors, objective, **optional)
    dense = as_tables(factors, objective, **optional)
    same_answers(factored, dense)
    found = solve(factored, "exact").objective
    assert found == pytest.approx(solve(dense, "exact").objective, rel=2e-9)


@pytest.mark.parametrize("suffix", ["json", "npz"])
@pytest.mark.parametrize("masked", [True, False])
def test_files_hold_the_same_problem(tmp_path, suffix, masked):
    """What is saved is read back, as factors."""
    factors = draw_factors(6, masked=masked, counted=masked)
    count = int(np.sum(factors.get("count", 4)))
    problem = CutAndResources.from_factors(factors, "makespan", weights=np.arange(1.0, count + 1))
    problem.save(tmp_path / f"fleet.{suffix}")
    back = load_problem(tmp_path / f"fleet.{suffix}")
    assert isinstance(back, FactoredCutAndResources)
    assert back.objective == "makespan"
    assert (back.weights == problem.weights).all()
    assert json.dumps(back.to_document()) == json.dumps(problem.to_document())


def test_another_objective_shares_the_data():
    """Changing the objective copies nothing."""
    problem = CutAndResources.from_factors(draw_factors())
    other = problem.with_objective("makespan")
    assert other.objective == "makespan"
    assert other.factors is problem.factors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"download_scales": None}, "the field 'download_scales' is missing"),
        ({"speed": [1.0]}, "the field 'speed' is unknown"),
        ({"upload_scales": [[1.0, 2.0]]}, "factors.upload_scales: is 1 x 2"),
        ({"server_shapes": [[1.0, 2.0]]}, "factors.server_shapes: is 1 x 2"),
        ({"device_scales": [[1.0, -2.0, 1.0, 1.0]]}, "factors.device_scales[0][1]: is -2.0"),
        ({"count": [1, 2, 0, 1]}, "factors.count[2]: is 0, it must be a whole number from 1"),
        ({"count": [1, 2, 1.5, 1]}, "factors.count[2]: is 1.5, it must be a whole number"),
        ({"count": [2**30] * 4}, "factors.count: adds up to more than"),
        ({"mask": [0, 3, 0, 0]}, "factors.mask[1]: is 3, it must be a whole number from 0 to 2"),
        ({"mask": None}, "factors: has several 'masks', 'mask' must say whose they are"),
        ({"masks": [[1, 0, 2]]}, "factors.masks: must hold only true and false"),
        ({"device_scales": [[1e300] * 4]}, "factors.device_shapes: times its scales is too large"),
    ],
)
def test_bad_factors_are_named(change, words):
    """Every mistake ends in one sentence with the field."""
    factors = draw_factors(7) | {"device_shapes": np.full((1, 3), 1e10)} | change
    factors = {name: value for name, value in factors.items() if value is not None}
    data = {"factors": factors}
    with pytest.raises(InputError, match="instance: data") as caught:
        CutAndResources.from_data(data, "sum")
    assert words in str(caught.value)


def test_factors_and_tables_do_not_mix():
    """An instance is given one way or the other, and curves go with tables only."""
    with pytest.raises(InputError, match="'download_s' is unknown"):
        CutAndResources.from_data({"factors": draw_factors(), "download_s": [[1.0]]}, "sum")
    with pytest.raises(InputError, match="'curves' is unknown"):
        CutAndResources.from_factors(draw_factors(), curves={})


def test_devices_without_a_cut_are_named():
    """A set of cuts that is empty makes its devices infeasible, by their own numbers."""
    factors = draw_factors(8) | {"mask": np.array([0, 1, 0, 0]), "count": np.array([2, 2, 1, 1])}
    factors["masks"] = np.array([[True] * 3, [False] * 3])
    problem = CutAndResources.from_factors(factors)
    assert "2 of 6 devices have no allowed cut (index 2, 3)" in str(problem.infeasibility())
    assert solve(problem, "exact").outcome == "infeasible"


def test_groups_of_a_scenario_stay_classes(monkeypatch):
    """A large fleet of a few groups has the values of the tables, and needs no tables."""
    document = Scenario.generate(seed=3, devices=3).to_dict()
    for device, count in zip(document["devices"], (4, 1, 2), strict=True):
        device["count"] = count
    scenario = Scenario.from_dict(document)
    dense = CutAndResources.from_scenario(scenario)
    monkeypatch.setattr(tables_module, "GROUPED", 7)
    factored = CutAndResources.from_scenario(scenario)
    assert isinstance(factored, FactoredCutAndResources)
    assert factored.factors.classes == 3
    assert (factored.weights == dense.weights).all()
    same_answers(factored, dense)


@pytest.mark.slow
def test_the_bound_of_a_large_fleet_needs_no_tables(monkeypatch):
    """`bound` works block by block, and counts what is identical, with the bound of the tables."""
    monkeypatch.setattr(large_module, "LARGE", 100)
    for count in (None, np.full(60, 3)):
        factors = draw_factors(9, classes=60, counted=False) | (
            {} if count is None else {"count": count}
        )
        for objective in ("sum", "makespan"):
            problem = CutAndResources.from_factors(factors, objective)
            bound = root_bound(problem)
            assert "download_s" not in vars(problem)
            fleet = fleet_of(as_tables(factors, objective))
            assert bound == pytest.approx(solve_root(objective, fleet).bound, rel=1e-9)


def test_other_solvers_take_factors():
    """A solver that works on tables finds the same optimum."""
    problem = CutAndResources.from_factors(draw_factors(10))
    expected = solve(problem, "exact").objective
    assert solve(problem, "scip").objective == pytest.approx(expected, rel=1e-6)
