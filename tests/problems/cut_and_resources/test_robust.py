"""`RobustCutAndResources`: worst cases by enumeration, shares by a convex solver, wrong input."""

from __future__ import annotations

import itertools
import math

import cvxpy as cp
import numpy as np
import pytest

from splitopt import CutAndResources
from splitopt.errors import InputError
from splitopt.problems.cut_and_resources.problem import RobustCutAndResources
from splitopt.problems.registry import as_problem
from tests.robust_cases import KINDS, robust_problem, scenarios, slowed_latencies


def worst_by_enumeration(problem, decision):
    """Return the worst case over all slow sets, the sum's devices chosen before, else after."""
    lists = [slowed_latencies(problem, decision, part) for part in scenarios(problem)]
    if problem.objective == "makespan":
        return max(np.sort(row)[problem.waited - 1] for row in lists)
    sets = itertools.combinations(range(problem.devices), problem.waited)
    return min(max(row[list(chosen)].sum() for row in lists) for chosen in sets)


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("quorum", [None, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_worst_case_is_the_largest_of_all_scenarios(objective, quorum, kind):
    rng = np.random.default_rng(5)
    for slow in (0, 1, 2, 4) if objective == "makespan" else (0, 1, 1.5, 2, 4):
        problem = robust_problem(3, 4, 3, objective, slow, quorum, kind)
        for _ in range(10):
            shares = rng.dirichlet(np.ones(4), size=3)
            cuts = rng.integers(1, 4, 4)
            decision = problem.decision_of(cuts, shares.T)
            want = worst_by_enumeration(problem, decision)
            assert problem.evaluate(decision) == pytest.approx(want, rel=1e-12)
            worst = problem.worst_case(decision)
            assert worst.slowed.sum() <= slow + 1e-12
            row = slowed_latencies(problem, decision, worst.slowed)
            if objective == "sum":
                assert row[worst.counted].sum() == pytest.approx(want, rel=1e-12)
            else:  # the slow ones that it names do the harm
                assert np.sort(row)[problem.waited - 1] == pytest.approx(want, rel=1e-12)


def test_a_device_without_shares_is_left_out_of_a_quorum_only():
    problem = robust_problem(1, 3, 2, "sum", 1, 2, "compute")
    cuts, served = [1, 2, 1], np.array([True, False, True])
    decision = problem.complete(cuts, served)
    assert not problem.violations(decision)
    assert list(problem.worst_case(decision).counted) == [True, False, True]
    everyone = robust_problem(1, 3, 2, "sum", 1, None, "compute")
    assert everyone.violations(decision) == {"device_without_a_needed_share": 1.0}
    assert math.isinf(everyone.evaluate(decision))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slow", [1, 1.5, 2])
def test_shares_of_the_sum_are_those_of_a_convex_program_over_all_scenarios(kind, slow):
    problem = robust_problem(7, 3, 2, "sum", slow, None, kind)
    cuts = np.array([1, 2, 1])
    value = problem.evaluate(problem.complete(cuts))
    assert value == pytest.approx(least_sum(problem, cuts), rel=1e-6)


def least_sum(problem, cuts):
    """Minimise the worst case over shares with a constraint for every scenario."""
    at = np.arange(problem.devices), cuts - 1
    tables = [t[at] for t in (problem.download_s, problem.upload_s, problem.server_s)]
    own, share = problem.device_s[at], cp.Variable((3, problem.devices), pos=True)
    worst, slow = cp.Variable(), problem.slowness
    rows = [cp.sum(share[r]) <= 1 for r in range(3)]
    for part in scenarios(problem):
        link, compute = 1 + (slow.links - 1) * part, 1 + (slow.compute - 1) * part
        total = (compute * own).sum()
        for r, factor in enumerate((link, link, np.ones(problem.devices))):
            total = total + (factor * tables[r]) @ cp.inv_pos(share[r])
        rows.append(worst >= total)
    return float(cp.Problem(cp.Minimize(worst), rows).solve(solver="CLARABEL"))


def test_priorities_and_own_links_are_worked_in():
    given = {"priority": [1, 2, 0.5], "shared_links": False}
    problem = robust_problem(2, 3, 2, "sum", 1, None, "both", **given)
    cuts = np.array([1, 2, 2])
    decision = problem.complete(cuts)
    assert problem.evaluate(decision) == pytest.approx(
        worst_by_enumeration(problem, decision), rel=1e-12
    )
    rows = problem.tables.rows(cuts, np.ones(3, dtype=bool))
    assert rows.roots[:, :2].max() == 0


def test_round_trip_through_files(tmp_path):
    problem = robust_problem(4, 3, 2, "makespan", 1, 2, "both")
    for name in ("robust.json", "robust.npz"):
        problem.save(tmp_path / name)
        read = as_problem(tmp_path / name)
        assert isinstance(read, RobustCutAndResources)
        assert (read.quorum, read.slow.devices) == (2, 1)
        assert np.array_equal(read.slow.links, problem.slow.links)
        decision = problem.complete([1, 2, 1])
        assert read.evaluate(decision) == problem.evaluate(decision)
    assert problem.to_document()["version"] == 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"slow": {"devices": 4}}, "slow.devices: is 4, it must be at most the 3 devices"),
        ({"slow": {"devices": -1}}, "slow.devices: is -1"),
        ({"slow": {"devices": 1, "compute": 0.5}}, r"slow.compute\[0\]: is 0.5, a slow device's"),
        ({"slow": {"devices": 1, "compute": [2, 2]}}, "slow.compute"),
        ({"slow": {"compute": 2}}, "slow: the field 'devices' is missing"),
        ({"slow": {"devices": 1, "speed": 2}}, "slow: the field 'speed' is unknown"),
        ({"slow": 3}, "slow: must be an object"),
        ({"quorum": 0}, "quorum: is 0"),
        ({"quorum": 4}, "quorum: is 4, it must be at most the 3 devices"),
        ({"quorum": 1.5}, "quorum: is 1.5"),
        ({"slow": {"devices": 0.5}, "quorum": 2, "objective": "makespan"}, "needs a whole number"),
        ({"objective": "energy"}, "objective is 'energy'"),
    ],
)
def test_wrong_input_is_named(changed, words):
    tables = [np.ones((3, 2))] * 4
    with pytest.raises(InputError, match=words):
        RobustCutAndResources(*tables, **({"slow": {"devices": 1}} | changed))


def test_instance_data_with_slow_or_quorum_make_the_problem_a_robust_one():
    tables = {name: [[1.0, 2.0]] for name in ("download_s", "upload_s", "server_s", "device_s")}
    data = tables | {"allowed": [[True, True]]}
    assert not CutAndResources.from_data(data, "sum").robust
    assert CutAndResources.from_data(data | {"quorum": 1}, "sum").robust
