"""The solvers of `GeneratorPairing` against SciPy's milp, brute force, and each other."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from splitopt import GeneratorPairing, solve
from splitopt.problems.compiling import plain
from splitopt.solvers.generator_pairing.fleet import ROUNDS, Fleet
from splitopt.solvers.generator_pairing.listing_loops import list_covers
from splitopt.solvers.generator_pairing.mask_loops import cheapest_cover

OPTIONS = (
    {},
    {"sources": 2},
    {"redundant": True},
    {"capped": True},
    {"capped": True, "sources": 2},
    {"quality_weight": 3.0},
    {"quality_weight": 2.0, "capped": True},
    {"least_quality": 0.5},
    {"counted": True},
    {"quality_weight": 1.0, "redundant": True},
    {"counted": True, "capped": True, "least_quality": 0.3},
)


def drawn(seed: int, **options) -> GeneratorPairing:
    """Draw 3 to 7 devices and 3 to 6 labels, with small whole costs or unequal ones."""
    rng = np.random.default_rng(seed)
    devices, labels = int(rng.integers(3, 8)), int(rng.integers(3, 7))
    has = rng.random((devices, labels)) < rng.uniform(0.3, 0.7)
    has[np.arange(devices), rng.integers(0, labels, devices)] = True
    cost = rng.integers(0, 5, (devices, devices)).astype(float)
    if seed % 3 == 0:
        cost = rng.uniform(0, 5, (devices, devices))
    if seed % 7 == 0:
        cost[:] = 1.0
    if "quality_weight" in options or "least_quality" in options:
        options["quality"] = rng.integers(0, 11, has.shape) / 10
    if options.pop("counted", False):
        options |= {"counts": has * rng.integers(1, 30, has.shape), "least_samples": 10}
    else:
        options["classes"] = has
    if options.pop("capped", False):
        options["caps"] = rng.integers(0, devices, devices)
    return GeneratorPairing(cost, labels=list(range(labels)), **options)


def by_milp(problem: GeneratorPairing) -> float:
    """Return the least cost by SciPy's milp on a dense program of its own; inf if there is none."""
    devices, labels = problem.need.shape
    trained = problem.classes if problem.generates is None else problem.generates
    good = trained
    if problem.quality is not None:
        good = trained & (problem.quality >= problem.least_quality)
    lack = 0 * good if problem.quality is None else problem.quality_weight * (1 - problem.quality)
    pairs = devices * devices
    cost = np.concatenate((problem.cost.ravel(), np.tile(lack, (devices, 1, 1)).ravel()))
    rows, lower, upper = [], [], []
    has = problem.classes if problem.counts is None else problem.counts >= problem.least_samples
    most = np.ones(len(cost))
    for i in range(devices):
        most[i * devices + i] = 0
        for c in range(labels):
            row = np.zeros(len(cost))
            for j in range(devices):
                use = pairs + (i * devices + j) * labels + c
                if not good[j, c] or has[i, c]:
                    most[use] = 0
                row[use] = 1
                link = np.zeros(len(cost))
                link[use], link[i * devices + j] = 1, -1
                rows.append(link)
                lower.append(-np.inf)
                upper.append(0)
            if not has[i, c]:
                wanted = problem.sources[c] + problem.redundant
                rows.append(row)
                lower.append(wanted)
                upper.append(wanted)
    for j in range(devices if problem.caps is not None else 0):
        row = np.zeros(len(cost))
        row[j:pairs:devices] = 1
        rows.append(row)
        lower.append(0)
        upper.append(problem.caps[j])
    found = milp(
        cost,
        constraints=LinearConstraint(np.array(rows), lower, upper),
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, most),
        options={"mip_rel_gap": 0},
    )
    return float(found.fun) if found.success else math.inf


def by_hand(problem: GeneratorPairing) -> float:
    """Return the least cost without caps: every set of senders of every device, one by one."""
    total = 0.0
    for i in range(problem.devices):
        others = [j for j in range(problem.devices) if j != i]
        best = math.inf
        for size in range(len(others) + 1):
            for row in itertools.combinations(others, size):
                senders = [[] for _ in range(problem.devices)]
                senders[i] = list(row)
                decision = problem.decode({"senders": senders})
                short = problem.need[i] - problem.covers[list(row)].sum(axis=0)
                if (short <= 0).all():
                    best = min(best, problem.evaluate(decision))
        total += best
    return total


def check(problem):
    """Hold the exact solvers against milp, and the bounds of the others."""
    least = by_milp(problem)
    tolerance = 1e-7 * max(1.0, least) if math.isfinite(least) else 0.0
    for name in ("set_cover", "enumerate"):
        result = solve(problem, name)
        if math.isinf(least):
            assert result.outcome == "infeasible"
            assert "class" in result.message or name == "enumerate"
            continue
        assert result.outcome == "optimal"
        assert result.objective == pytest.approx(least, abs=tolerance)
        assert problem.violations(result.decision) == {}
    if math.isfinite(least):
        assert problem.bound() <= least + tolerance
        for name in ("greedy", "algorithm2"):
            result = solve(problem, name)
            assert result.bound <= least + tolerance
            assert result.objective >= least - tolerance


@pytest.mark.one_quick
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_small_pairings_match_milp(options):
    for seed in range(4):
        check(drawn(seed, **options))


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_many_small_pairings_match_milp(options):
    """Hundreds of instances, many with ties."""
    for seed in range(100, 140):
        check(drawn(seed, **options))


@pytest.mark.parametrize("options", [{}, {"sources": 2}, {"quality_weight": 2.0}], ids=str)
def test_brute_force_over_all_senders_agrees(options):
    for seed in range(3):
        problem = drawn(seed, **options)
        least = by_hand(problem)
        result = solve(problem)
        if math.isinf(least):
            assert result.outcome == "infeasible"
        else:
            assert result.objective == pytest.approx(least)


@pytest.mark.parametrize("name", ["highs", "scip", "gurobi", "pyomo:gurobi_direct_minlp"])
@pytest.mark.parametrize("options", [{}, {"capped": True}, {"quality_weight": 2.0}], ids=str)
def test_back_ends_find_the_same(name, options):
    problem = drawn(4, **options)
    best = solve(problem)
    result = solve(problem, name)
    assert (result.outcome == "infeasible") == (best.outcome == "infeasible")
    if best.is_feasible:
        assert result.objective == pytest.approx(best.objective)
        assert result.bound <= best.objective * (1 + 1e-9)


def test_greedy_keeps_its_ratio():
    """Chvatal's instance: sets of cost 1/k tempt the rule away from one of cost 1 + e."""
    labels = 6
    classes = [[label] for label in range(labels)] + [list(range(labels)), [99]]
    cost = np.full((8, 8), 50.0)
    cost[7, :6] = [1 / (labels - k) for k in range(labels)]
    cost[7, 6] = 1.01
    problem = GeneratorPairing(cost, classes=classes)
    paid = sum(1 / k for k in range(1, labels + 1))
    greedy, best = solve(problem, "greedy"), solve(problem)
    own = cost[7, greedy.decision.senders[7]].sum()
    assert own == pytest.approx(paid)
    assert cost[7, best.decision.senders[7]].sum() == pytest.approx(1.01)
    assert greedy.bound <= best.objective


def test_algorithm_2_sends_the_last_that_fits():
    """As printed there is no break; where nobody fits, the run has no answer and says so."""
    classes = [["a"], ["a", "b"], ["a", "b"]]
    problem = GeneratorPairing([[0, 1, 9], [9, 0, 9], [9, 9, 0]], classes=classes)
    picks = {
        pick: solve(problem, "algorithm2", pick=pick) for pick in ("last", "first", "cheapest")
    }
    assert [row.decision.senders[0].tolist() for row in picks.values()] == [[2], [1], [1]]
    alone = GeneratorPairing(np.ones((3, 3)), classes=[["a"], ["b"], ["c"]])
    result = solve(alone, "algorithm2")
    assert result.outcome == "no_solution"
    assert "no answer for device 0" in result.message
    assert "'b', 'c'" in result.message
    assert result.details["devices_without_answer"] == alone.without_one_partner.size == 3


def test_algorithm_2_counts_samples_as_printed_or_as_the_text_asks():
    """A class of few samples is missing in the text alone."""
    counts = [[9, 1], [9, 9]]
    problem = GeneratorPairing(np.ones((2, 2)), counts=counts, labels=["a", "b"], least_samples=5)
    printed = solve(problem, "algorithm2")
    assert printed.outcome == "no_solution"
    assert printed.violations == {"missing_sources": 1.0}
    assert solve(problem, "algorithm2", counts="stated").objective == 1


def test_caps_that_only_together_rule_out_are_named():
    """Device 0 takes a and b from 2 and 3, which leaves one send each for 1, 2 and 3."""
    classes = [["c"], ["a", "b"], ["a", "c"], ["b", "c"]]
    problem = GeneratorPairing(np.ones((4, 4)), classes=classes, caps=[0, 0, 2, 2])
    assert problem.infeasibility() is None
    assert math.isinf(by_milp(problem))
    result = solve(problem)
    assert result.outcome == "infeasible"
    assert "short" in result.message
    assert "class '" in result.message


def test_compiled_loops_do_what_their_python_does():
    problem = drawn(5)
    fleet = Fleet(problem)
    for i in fleet.receivers.tolist():
        costs, missing = fleet.costs(i), fleet.missing[i]
        order, found = np.argsort(costs, kind="stable"), []
        for call in (cheapest_cover, plain(cheapest_cover)):
            size = 1 << len(missing)
            room = [np.empty(size, dtype=np.int32) for _ in range(3)]
            senders = np.empty(len(costs) + 1, dtype=np.int64)
            value, count, seen = call(
                costs, order, fleet.masks, missing, ROUNDS, np.full(size, np.inf), *room, senders
            )
            found.append((value, senders[:count].tolist(), seen))
        assert found[0] == found[1]
        lists = []
        for call in (list_covers, plain(list_covers)):
            rows = np.empty((500, len(missing)), dtype=np.int64)
            count = call(costs, fleet.masks, missing, ROUNDS, found[0][0] + 2.0, rows)
            lists.append(rows[:count].tolist())
        assert lists[0] == lists[1]


@pytest.mark.slow
def test_many_labels_go_to_the_program():
    """Beyond what masks hold, HiGHS solves each device."""
    rng = np.random.default_rng(0)
    has = rng.random((8, 70)) < 0.5
    has[0] |= ~has.any(axis=0)
    has[1] |= has.sum(axis=0) < 2
    problem = GeneratorPairing(rng.integers(1, 5, (8, 8)), classes=has, labels=list(range(70)))
    result = solve(problem)
    assert result.objective == pytest.approx(by_milp(problem))
    assert result.outcome == "optimal"


def test_time_and_callbacks_end_a_run():
    """At no time a pairing all the same; a callback that says True interrupts."""
    problem = GeneratorPairing(np.ones((4, 4)), classes=[[0, 1], [1, 2], [2, 3], [3, 0]], caps=3)
    for kind in (problem, drawn(5)):
        assert solve(kind, time_limit_s=0).stop_reason in ("time", "proved", "gap")
        assert solve(kind, time_limit_s=0).is_feasible
    seen = []
    stopped = solve(drawn(5), callback=lambda progress: seen.append(progress.objective) is None)
    assert seen
    assert stopped.is_feasible
