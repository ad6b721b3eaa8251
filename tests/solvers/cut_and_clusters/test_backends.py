"""The program of cut, clusters and subcarriers by HiGHS, SCIP and Gurobi, against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt import CapabilityError, CutAndClusters, InfeasibleError, InputError, solve
from splitopt.bench.instances.families.cut_and_clusters import apart, cells, unstructured
from splitopt.problems.cut_and_clusters.program import joint_program, program_size
from splitopt.solvers.cut_and_clusters.backends import Gurobi, Highs

BACK_ENDS = ["highs", "scip", "gurobi", "pyomo:gurobi_direct_minlp"]


def draw(seed, sizes, cuts, subcarriers, epochs=1, own=False, ties=False):
    """Draw tables of seconds, a third of the cuts refused; with `ties` devices come in twins."""
    rng = np.random.default_rng(seed)
    shape = (cuts, sum(sizes))
    allowed = rng.random(shape) >= 0.3
    allowed[cuts - 1] = True
    times = rng.exponential(1.0, (7, *shape))
    if ties:
        times = np.repeat(times, 2, axis=2)[:, :, : shape[1]]
    names = tuple(f"cut{v}" for v in range(cuts))
    return CutAndClusters(
        names, *times, epochs, subcarriers, np.array(sizes), allowed, cut_per_cluster=own
    )


def least_by_hand(problem):
    """Try every number of subcarriers of every partition and cut with the problem's own value."""
    from splitopt.problems.cut_and_clusters import CutAndClustersDecision

    least, first = np.inf, problem.cluster_sizes[0]
    numbers = list(itertools.product(range(1, problem.subcarriers + 1), repeat=problem.devices))
    for cluster in itertools.combinations(range(problem.devices), int(first)):
        other = sorted(set(range(problem.devices)) - set(cluster))
        for cuts in itertools.product(range(len(problem.cuts)), repeat=2):
            for x in numbers:
                decision = CutAndClustersDecision((cluster, other), np.array(x), np.array(cuts))
                if not problem.violations(decision):
                    least = min(least, problem.evaluate(decision))
    return least


@pytest.mark.one_quick
@pytest.mark.parametrize("solver", BACK_ENDS)
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("sizes", "epochs", "ties"), [([2, 2], 1, False), ([2, 2, 1], 3, True)])
def test_the_joint_program_finds_the_best_round(solver, own, sizes, epochs, ties):
    """Equal and unequal clusters, twins, refused cuts, one local epoch and several."""
    problem = draw(epochs, sizes, 2, 3, epochs, own, ties)
    wanted = solve(problem, "enumerate").objective
    found = solve(problem, solver)
    assert found.objective == pytest.approx(wanted, rel=1e-6)
    assert found.bound <= wanted * (1 + 1e-9)
    assert found.gap < 3e-6
    assert problem.evaluate(found.decision) == found.objective


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_against_all_decisions(seed, own):
    """Nothing but the problem's own evaluation is used on the other side."""
    problem = draw(seed, (2, 1), 3, 3, 1 + seed, own)
    assert solve(problem, "highs").objective == pytest.approx(least_by_hand(problem), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("own", [0, 1])
@pytest.mark.parametrize("family", [cells, unstructured])
def test_two_provers_agree(family, own):
    """HiGHS on the program and `set_partition`, which share no code but the problem."""
    problem = family(2, 5, size=3, subcarriers=4, own=own)
    proved = solve(problem, "set_partition")
    assert proved.outcome == "optimal"
    assert solve(problem, "highs").objective == pytest.approx(proved.objective, rel=1e-6)


@pytest.mark.parametrize("own", [False, True])
def test_the_value_of_every_decision_is_that_of_the_problem(own):
    """Pyomo's objective where all choices are fixed, for one and for several local epochs."""
    import pyomo.environ as pyo
    from pyomo.contrib.solver.common.factory import SolverFactory

    for epochs in (1, 3):
        problem = draw(epochs, (2, 1), 2, 3, epochs, own)
        built = problem.to_pyomo(unit_s=2.0)
        cut = 1  # all devices may take the last
        for k, m, x in ((0, 1, 3), (1, 0, 1), (2, 0, 2)):
            built.model.use[k, m, cut, x].fix(1)
        SolverFactory("highs").solve(built.model)
        decision = problem.complete([[1, 2], [0]], [cut, cut])
        moved = type(decision)(decision.clusters, np.array([3, 1, 2]), decision.cuts)
        value = 2.0 * pyo.value(built.model.objective)
        assert value == pytest.approx(problem.evaluate(moved), rel=1e-6)
        assert built.decision().cuts.tolist() == [cut, cut]


def test_an_own_constraint_keeps_a_cut_out():
    """The decision has the model's cuts, not the best ones for its clusters."""
    import pyomo.environ as pyo
    from pyomo.contrib.solver.common.factory import SolverFactory

    problem = unstructured(1, 4, cuts=3, size=2, subcarriers=4, own=1)
    best = solve(problem, "enumerate")
    built, gone = problem.to_pyomo(), int(best.decision.cuts[0])
    built.model.without = pyo.Constraint(expr=sum(built.model.cut[m, gone] for m in range(2)) == 0)
    SolverFactory("highs").solve(built.model)
    found = built.decision()
    assert gone not in found.cuts
    assert problem.evaluate(found) >= best.objective
    fields = problem.data()
    fields["allowed"] = problem.mask & (np.arange(3) != gone)[:, None]
    wanted = solve(CutAndClusters(**fields), "enumerate").objective
    assert problem.evaluate(found) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("epochs", [1, 2])
def test_the_size_is_counted_without_building(own, epochs):
    """Exactly for variables; rows of symmetry are counted from above."""
    problem = draw(7, (2, 2, 1), 3, 5, epochs, own)
    program, size = joint_program(problem, 1.0), program_size(problem)
    assert size.variables == len(program.binary) + len(program.real)
    assert size.linear_constraints >= sum(map(len, program.rows.values()))


def test_no_partition_is_said_in_words():
    """Limits that leave none, by HiGHS; and those that the problem itself sees."""
    problem = apart(0, 6, 3)
    allowed = np.zeros((3, 6), dtype=bool)
    allowed[0, :2] = True
    allowed[1, 2:] = True
    mixed = CutAndClusters(**{**problem.data(), "allowed": allowed, "subcarriers": 3})
    found = solve(mixed, "highs")
    assert found.outcome == "infeasible"
    assert "no partition into clusters" in found.message
    fields = {**problem.data(), "allowed": allowed, "cut_per_cluster": False}
    with pytest.raises(InfeasibleError, match="no cut is one that all devices may take"):
        CutAndClusters(**fields).to_pyomo()


@pytest.mark.gurobi
def test_what_does_not_fit_is_refused():
    """Too large for the limits, and a unit of time that is none."""
    problem = cells(0, 30, own=1)
    assert program_size(problem).variables > 2000
    with pytest.raises(CapabilityError, match="size-limited licence"):
        solve(problem, Gurobi())
    with pytest.raises(CapabilityError, match="more than its limit"):
        solve(problem, Highs(most_variables=100))
    with pytest.raises(InputError, match="unit_s: is -1"):
        cells(0, 4, size=2, subcarriers=4).to_gurobi(unit_s=-1)
