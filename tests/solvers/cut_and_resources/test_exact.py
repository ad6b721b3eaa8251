"""The exact solver: optimal on all small problems, certified on larger ones, and well-behaved."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt import CutAndResources, solve
from splitopt.errors import InputError
from splitopt.problems import problem_from_document
from splitopt.solvers.cut_and_resources.exact import solver as exact
from splitopt.solvers.cut_and_resources.relaxation import root_bound

OBJECTIVES = ("sum", "makespan")
KINDS = (
    "plain",
    "integers with zeros and ties",
    "decades between resources",
    "decades between devices",
    "decades everywhere",
    "identical devices",
    "nearly identical devices",
    "sparse needs",
    "missing resources",
    "one resource per cut",
)


def draw(kind, seed):
    """Draw tables (4, N, L) and allowed cuts (N, L) of one kind."""
    rng = np.random.default_rng((KINDS.index(kind), seed))
    devices, layers = (int(k) for k in rng.integers(1, 6, 2))
    tables = rng.random((4, devices, layers))
    if kind == "integers with zeros and ties":
        tables = np.round(tables * 3)
    elif kind == "decades between resources":
        tables *= 10 ** rng.uniform(-8, 8, (4, 1, 1))
    elif kind == "decades between devices":
        tables *= 10 ** rng.uniform(-4, 4, (4, devices, 1))
    elif kind == "decades everywhere":
        tables *= 10 ** rng.uniform(-8, 8, tables.shape)
    elif kind == "identical devices":
        tables = np.repeat(tables[:, :1], devices, axis=1)
    elif kind == "nearly identical devices":
        tables = np.repeat(tables[:, :1], devices, axis=1)
        tables *= 1 + 1e-6 * rng.random(tables.shape)
    elif kind == "sparse needs":
        tables *= rng.random(tables.shape) < 0.4
    elif kind == "missing resources":
        tables *= rng.random((4, 1, 1)) < 0.5
    elif kind == "one resource per cut":
        tables *= np.arange(layers) % 4 == np.arange(4)[:, None, None]
    allowed = rng.random((devices, layers)) < rng.choice([0.6, 1.0])
    allowed[np.arange(devices), rng.integers(layers, size=devices)] = True
    while allowed.sum(axis=1).prod() > 150:
        device = int(allowed.sum(axis=1).argmax())
        allowed[device, np.flatnonzero(allowed[device])[0]] = False
    return tables, allowed


def brute_force(problem):
    """Try every vector of cuts."""
    choices = [np.flatnonzero(row) + 1 for row in problem.allowed]
    return min(problem.evaluate(problem.complete(cut)) for cut in itertools.product(*choices))


def front(seed, devices, layers, objective, classes=None, noise=0.0):
    """Draw devices whose cuts trade the four times against each other, so that many compete."""
    rng = np.random.default_rng(seed)
    kinds = classes or devices
    parts = rng.dirichlet(np.ones(4), (kinds, layers)) * rng.uniform(0.5, 2, (kinds, 1, 1))
    parts = parts[rng.integers(kinds, size=devices)] if classes else parts
    parts = parts * (1 + noise * rng.standard_normal(parts.shape))
    allowed = np.ones((devices, layers), dtype=bool)
    tables = [parts[:, :, 0] ** 2, parts[:, :, 1] ** 2, parts[:, :, 2] ** 2, 2 * parts[:, :, 3]]
    return CutAndResources(*tables, allowed, objective)


def thirds(devices, objective):
    """Draw devices that each load one resource of three: a number partitioning problem."""
    sizes = np.random.default_rng(0).uniform(1, 2, devices)
    tables = np.zeros((4, devices, 3))
    for i in range(3):
        tables[i, :, i] = sizes**2
    return CutAndResources(*tables, np.ones((devices, 3), dtype=bool), objective)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_optimal_on_small_problems(objective, kind, seed):
    """Value and bound agree with trying every vector of cuts, by listing and by branching."""
    tables, allowed = draw(kind, seed)
    problem = CutAndResources(*tables, allowed, objective)
    best = brute_force(problem)
    for listed in (1, 1000):
        result = solve(problem, "exact", max_listed=listed, time_limit_s=30)
        assert (result.outcome, result.stop_reason) == ("optimal", "proved")
        assert result.objective <= best * (1 + 1e-9)
        assert best * (1 - 1e-9) <= result.bound <= best * (1 + 1e-12)
        assert not problem.violations(result.decision)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_optimal_from_a_poor_start(objective, kind, seed, monkeypatch):
    """The tree alone, without local search or fresh starts, goes from a poor plan to the best."""
    monkeypatch.setattr(exact, "improve", lambda space, measure, used, *others: used)
    monkeypatch.setattr(exact, "_RESTART", 0)
    tables, allowed = draw(kind, 100 + seed)
    problem = CutAndResources(*tables, allowed, objective)
    best = brute_force(problem)
    for listed in (1, 6, 1000):
        result = solve(problem, "exact", max_listed=listed, time_limit_s=30)
        assert result.outcome == "optimal"
        assert result.objective <= best * (1 + 1e-9)
        assert result.bound <= best * (1 + 1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_recovered_instance_of_dp_mora(recovered_instance, objective):
    """The published setting's optimum is found and proved."""
    problem = problem_from_document(recovered_instance).with_objective(objective)
    expected = recovered_instance["expected"][objective]
    result = solve(problem, "exact")
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(expected["objective"], rel=1e-9)
    assert result.bound == pytest.approx(expected["objective"], rel=1.1e-9)


def test_agrees_with_scip():
    """SCIP solves the same convex program over cuts and finds the same value."""
    from pyscipopt import Model, quicksum

    problem = front(5, 12, 6, "sum")
    model = Model()
    model.hideOutput()
    model.setParam("limits/gap", 1e-7)
    model.setParam("limits/time", 60)
    cells = list(np.ndindex(problem.devices, problem.layers))
    use = {cell: model.addVar(vtype="B") for cell in cells}
    for n in range(problem.devices):
        model.addCons(quicksum(use[n, j] for j in range(problem.layers)) == 1)
    total, cost = [model.addVar(lb=0) for _ in range(3)], model.addVar(lb=0)
    for i in range(3):
        model.addCons(total[i] >= quicksum(problem.roots[c][i] * use[c] for c in cells))
    device = quicksum(problem.device_s[c] * use[c] for c in cells)
    model.addCons(cost >= quicksum(t * t for t in total) + device)
    model.setObjective(cost)
    model.optimize()
    result = solve(problem, "exact")
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(model.getPrimalbound(), rel=1e-5)
    assert result.bound >= model.getDualbound() * (1 - 1e-5)
    assert result.objective <= model.getPrimalbound() * (1 + 1e-5)


@pytest.mark.parametrize("devices", [30, 100, 1000])
@pytest.mark.parametrize("variety", ["different", "classes", "near twins"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_certified_on_larger_problems(objective, variety, devices):
    """Hundreds of devices, identical or nearly so or not at all, are proved to 1e-9."""
    classes = None if variety == "different" else 15
    noise = 1e-6 if variety == "near twins" else 0.0
    problem = front(1, devices, 12, objective, classes, noise)
    result = solve(problem, "exact", time_limit_s=60)
    assert result.outcome == "optimal"
    assert root_bound(problem) <= result.objective
    assert result.details["nodes"] < 2000


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_branching_and_listing_agree(objective):
    """A tree without listing ends at the same value."""
    problem = front(0, 25, 10, objective)
    listed = solve(problem, "exact")
    branched = solve(problem, "exact", max_listed=1)
    assert branched.details["nodes"] > listed.details["nodes"]
    assert branched.objective == pytest.approx(listed.objective, rel=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_identical_devices_do_not_multiply_nodes(objective):
    """Two hundred devices of three kinds take few nodes although any two can be swapped."""
    problem = front(4, 200, 8, objective, classes=3)
    result = solve(problem, "exact", max_listed=1, time_limit_s=60)
    assert result.outcome == "optimal"
    assert result.details["nodes"] < 200


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_order_of_devices_does_not_matter(objective):
    """The same devices in another order have the same optimum."""
    problem = front(6, 40, 8, objective, classes=12)
    order = np.random.default_rng(0).permutation(problem.devices)
    tables = (problem.download_s, problem.upload_s, problem.server_s, problem.device_s)
    other = CutAndResources(*(t[order] for t in tables), problem.allowed[order], objective)
    assert solve(other, "exact").objective == pytest.approx(
        solve(problem, "exact").objective, rel=1e-9
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_time_still_gives_a_decision(objective):
    """With a time limit of 0 the first decision is kept, and nothing false is claimed."""
    problem = front(0, 50, 10, objective)
    result = solve(problem, "exact", time_limit_s=0)
    assert (result.outcome, result.stop_reason) == ("feasible", "time")
    assert result.bound <= solve(problem, "exact").objective


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_node_limit_stops_the_tree(objective, monkeypatch):
    """A node limit ends the run with a bound below the optimum and says so."""
    monkeypatch.setattr(exact.OneResource, "of", lambda fleet, price: None)
    problem = thirds(9, objective)
    best = solve(problem, "exact")
    cut_short = solve(problem, "exact", max_nodes=3, max_listed=1)
    assert best.outcome == "optimal"
    assert (cut_short.outcome, cut_short.stop_reason) == ("feasible", "iterations")
    assert root_bound(problem) <= cut_short.bound <= best.objective <= cut_short.objective


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_callback_stops_the_run(objective):
    """The run ends at the first node after the callback asks for it."""
    result = solve(thirds(9, objective), "exact", callback=lambda _: True, max_listed=1)
    assert (result.outcome, result.stop_reason) == ("feasible", "interrupted")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_loose_gap_stops_early(objective):
    """A loose gap ends the run with that gap and claims no optimum."""
    result = solve(front(3, 10, 10, objective), "exact", rel_gap=0.5)
    assert (result.outcome, result.stop_reason) == ("feasible", "gap")
    assert result.gap <= 0.5


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_same_answer_every_time(objective):
    """Two runs give the same cuts, bound and number of nodes."""
    problem = front(7, 60, 10, objective)
    one, other = solve(problem, "exact"), solve(problem, "exact")
    assert (one.decision.cut == other.decision.cut).all()
    assert (one.bound, one.iterations) == (other.bound, other.iterations)


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_nodes", 0), ("max_nodes", True), ("local_moves", 2), ("max_listed", 1.5)],
)
def test_options_are_checked(option, value):
    """An option that makes no sense is named."""
    with pytest.raises(InputError, match=option):
        solve(front(0, 3, 3, "sum"), "exact", **{option: value})
