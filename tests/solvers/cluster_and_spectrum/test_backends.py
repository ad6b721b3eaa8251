"""CPSL's programs by HiGHS, SCIP and Gurobi, against enumeration and the exact subcarriers."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import solve
from splitopt.errors import CapabilityError, InfeasibleError, InputError
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty
from splitopt.solvers.cluster_and_spectrum.backends import Gurobi, Highs, round_size

BACK_ENDS = ["highs", "scip", "gurobi", "pyomo:gurobi_direct_minlp"]


def draw(seed, sizes, subcarriers, epochs, ties=False, full_band=False):
    """Draw a cell; with `ties` devices come in pairs of twins."""
    rng = np.random.default_rng(seed)
    devices = sum(sizes)
    tables = [rng.uniform(0.1, 2, devices) for _ in range(6)]
    if ties:
        tables = [np.repeat(table, 2)[:devices] for table in tables]
    return ClusterAndSpectrum(
        *tables, 0.05, epochs, subcarriers, np.array(sizes), device_model_over_full_band=full_band
    )


def check(problem, solver):
    """Compare value and bound with enumeration."""
    wanted = solve(problem, "enumerate")
    found = solve(problem, solver)
    assert found.objective == pytest.approx(wanted.objective, rel=1e-6)
    assert found.bound <= wanted.objective * (1 + 1e-9)
    assert found.gap < 3e-6


@pytest.mark.one_quick
@pytest.mark.parametrize("solver", BACK_ENDS)
@pytest.mark.parametrize(
    ("sizes", "epochs", "ties"),
    [([2, 2], 1, False), ([2, 2, 1], 3, True), ([3, 2], 2, False), ([1, 1, 1], 1, True)],
)
def test_the_joint_program_finds_the_best_round(solver, sizes, epochs, ties):
    """Equal and unequal clusters, twins, one local epoch and several."""
    check(draw(len(sizes), sizes, 5, epochs, ties, full_band=epochs == 3), solver)


@pytest.mark.parametrize("seed", range(5))
def test_subcarriers_of_given_clusters(seed):
    """With the clusters fixed the program is solved by the exact allocation."""
    problem = draw(seed, [4, 3], 9, 1 + seed % 3)
    clusters = [[6, 0, 3], [1, 2, 4, 5]]
    from pyomo.contrib.solver.common.factory import SolverFactory
    from pyomo.environ import value

    built = problem.to_pyomo(clusters, keep_subcarriers=True)
    SolverFactory("highs").solve(built.model)
    wanted = problem.evaluate(problem.complete(clusters))
    assert value(built.model.objective) == pytest.approx(wanted, rel=1e-6)
    assert problem.evaluate(built.decision()) == pytest.approx(wanted, rel=1e-6)
    assert {tuple(sorted(c.tolist())) for c in built.decision().clusters} == {
        (0, 3, 6),
        (1, 2, 4, 5),
    }


def test_symmetry_is_broken():
    """Of two equal clusters only the numbering by first devices is left."""
    built = draw(0, [2, 2], 4, 1).to_pyomo()
    rows = built.program.rows["in_order"]
    assert set(rows) == {(k, 1) for k in range(4)}
    assert rows[0, 1].upper == 0
    assert all(factor > 0 for factor in rows[0, 1].terms.values())


@pytest.mark.slow
@pytest.mark.parametrize("solver", BACK_ENDS)
@pytest.mark.parametrize("objective", ["expected", "cvar"])
def test_the_deterministic_equivalent_finds_the_best_cut(solver, objective):
    """First-stage cut and a recourse in every sample, mean and CVaR."""
    rows = [[draw(10 * j + v, [2, 1], 4, 1) for v in range(2)] for j in range(3)]
    check(CutUnderUncertainty.from_scenarios(["a", "b"], rows, objective, 0.5), solver)


@pytest.mark.gurobi
def test_what_does_not_fit_is_refused():
    """Too large for the limits, clusters that do not match, and a round without an answer."""
    problem = draw(0, [5, 5, 5, 5], 30, 1)
    assert round_size(problem).variables > 2000
    with pytest.raises(CapabilityError, match="size-limited licence"):
        solve(problem, Gurobi())
    with pytest.raises(CapabilityError, match="more than its limit"):
        solve(problem, Highs(most_variables=100))
    small = draw(0, [2, 1], 4, 1)
    with pytest.raises(InputError, match=r"each of 0\.\.2 once"):
        small.to_pyomo([[0, 1], [1]])
    with pytest.raises(InputError, match="a cluster of 3 devices"):
        small.to_pyomo([[0, 1, 2]])
    with pytest.raises(InputError, match="unit_s: is -1"):
        small.to_gurobi(unit_s=-1)
    with pytest.raises(InfeasibleError, match="needs at least 2 subcarriers"):
        draw(0, [2, 1], 1, 1).to_pyomo()


def test_highs_works_after_others_have_used_it():
    """HiGHS keeps the number of threads of a process's first run, whoever chose it."""
    import highspy

    other = highspy.Highs()
    other.setOptionValue("output_flag", False)
    other.addVar(0.0, 1.0)
    other.run()
    problem = draw(1, [2, 2], 5, 1)
    wanted = solve(problem, "enumerate").objective
    for solver in ("highs", "set_partition"):
        assert solve(problem, solver).objective == pytest.approx(wanted, rel=1e-6)
