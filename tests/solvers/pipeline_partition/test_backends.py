"""MP-SL's integer program by HiGHS, SCIP and Gurobi, against enumeration."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import solve
from splitopt.errors import CapabilityError, InfeasibleError, InputError
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.solvers.pipeline_partition.backends import Gurobi, Highs, PyomoGurobi, Scip
from splitopt.solvers.pipeline_partition.enumeration import Enumerate

BACK_ENDS = [
    Highs(),
    Scip(),
    Scip("quadratic"),
    Gurobi(),
    Gurobi("quadratic"),
    PyomoGurobi(),
]
FORMS = [("none", "period"), ("none", "paper"), ("none", "epoch"), ("uniform", "period")]
FORMS += [("uniform", "epoch"), ("nic", "period"), ("serial", "period")]


def same_rates(problem):
    """Set every interface to the first one's rate, which the objective 'epoch' needs."""
    links = problem.links.to_dict()
    rates = np.full(problem.nodes, links["bandwidth_bytes_per_s"][0])
    return PipelinePartition.from_data(
        {**problem.data(), "links": {**links, "bandwidth_bytes_per_s": rates}}, "epoch", "test"
    )


def check(problem, solver):
    """Compare with enumeration: value, bound, or that there is no answer."""
    wanted = solve(problem, Enumerate())
    found = solve(problem, solver)
    assert found.outcome != "error", found.message
    if wanted.decision is None:
        assert found.outcome == "infeasible"
        return
    assert found.objective == pytest.approx(wanted.objective, rel=1e-6, abs=1e-9)
    assert found.bound <= wanted.objective * (1 + 1e-9)
    assert found.objective - found.bound <= 3e-6 * max(found.objective, 1.0)


@pytest.mark.one_quick
@pytest.mark.parametrize("solver", BACK_ENDS, ids=lambda s: f"{s.name}-{s.contiguity}")
@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_back_ends_find_what_enumeration_finds(pipeline, solver, form):
    """Memory, order, idle nodes and both duplexes are drawn; a third has no answer."""
    if solver.contiguity == "quadratic" and form[0] != "none":
        pytest.skip("the quadratic form knows no links")
    for seed in range(4):
        check(pipeline(seed, 2 + seed % 2, 5, *form, whole=seed == 3), solver)


@pytest.mark.parametrize("model", ["nic", "serial"])
def test_epochs_over_equal_interfaces(pipeline, model):
    """The trip is linear as well where all interfaces have one rate."""
    for seed in range(3):
        check(same_rates(pipeline(seed, 3, 5, model, batches=7)), Highs())


@pytest.mark.slow
@pytest.mark.gurobi
def test_medium_instances_agree():
    """HiGHS and SCIP prove the same period, too large to enumerate."""
    rng = np.random.default_rng(5)
    problem = PipelinePartition(
        rng.uniform(1, 2, (4, 16)), rng.uniform(2, 4, (4, 16)), np.ones(16), np.full(4, 6.0), 1
    )
    values = [solve(problem, solver).objective for solver in (Highs(), Scip(), Gurobi())]
    assert values == pytest.approx([values[0]] * 3, rel=1e-9)


def test_what_the_program_cannot_state_is_refused(pipeline):
    """A matrix of rates, unequal interfaces under 'epoch', products for HiGHS."""
    with pytest.raises(CapabilityError, match="'pairwise'; the solver 'subset_dp'"):
        solve(pipeline(0, 3, 5, "pairwise"), Highs())
    with pytest.raises(CapabilityError, match="different rates"):
        solve(pipeline(0, 3, 5, "nic", "epoch"), Scip())
    with pytest.raises(CapabilityError, match="no products"):
        solve(pipeline(0, 2, 5), Highs("quadratic"))
    with pytest.raises(InputError, match="contiguity: is 'cubic'"):
        Highs("cubic")
    with pytest.raises(InputError, match="unit_s: is 0"):
        pipeline(0, 2, 5, node_memory_bytes=np.full(2, 99.0)).to_pyomo(unit_s=0)
    with pytest.raises(InfeasibleError, match="only 2 layers"):
        pipeline(0, 3, 2, use_all_nodes=True).to_pyomo()


@pytest.mark.gurobi
def test_a_large_model_is_refused_by_the_licence():
    """37 layers on 5 nodes are too many for the quadratic form, 300 for the linear one."""
    for layers, contiguity in ((37, "quadratic"), (300, "linear")):
        problem = PipelinePartition(
            np.ones((5, layers)), np.ones((5, layers)), np.ones(layers), np.full(5, 1e9), 1
        )
        assert "size-limited licence" in (Gurobi(contiguity).refusal(problem) or "")


def test_equation_7_as_printed_never_binds():
    """It accepts an assignment that scatters the layers of a node; the corrected form does not."""
    x = np.array([[1, 0, 1, 0], [0, 1, 0, 1]])
    scattered = PipelinePartitionDecision(x.argmax(axis=0))
    printed = [
        sum(x[i, j] * (x[i, k - 1] - 2 * x[i, j] - x[i, k]) for k in range(1, j + 1))
        for i in range(2)
        for j in range(4)
    ]
    corrected = [
        x[i, j] * (x[i, k - 1] - x[i, k]) for i in range(2) for j in range(4) for k in range(1, j)
    ]
    assert max(printed) <= 0
    assert max(corrected) > 0
    problem = PipelinePartition(np.ones((2, 4)), np.ones((2, 4)), np.ones(4), np.full(2, 9.0), 1)
    assert "scattered_layers" in problem.violations(scattered)


def test_own_constraints_are_kept(pipeline):
    """A user's constraint changes the answer to the best one that meets it."""
    from pyomo.contrib.solver.common.factory import SolverFactory
    from pyomo.environ import Constraint

    problem = pipeline(1, 2, 6, node_memory_bytes=np.full(2, 99.0), order="free")
    free = solve(problem, Enumerate())
    host = int(free.decision.assignment[0])
    program = problem.to_pyomo()
    program.model.banned = Constraint(expr=program.model.x[host, 0] == 0)
    SolverFactory("highs").solve(program.model)
    found = program.decision()
    assert found.assignment[0] != host
    assert problem.evaluate(found) >= free.objective


@pytest.mark.one_quick
@pytest.mark.parametrize("solver", [Highs(), Scip(), Gurobi(), PyomoGurobi()], ids=lambda s: s.name)
@pytest.mark.parametrize("short", [1.0, 2.0, 100.0, 1000.0])
@pytest.mark.parametrize("seed", [0, 2])
def test_a_memory_that_is_a_little_short_for_a_better_chain_is_no_dead_end(short, seed, solver):
    """Every solver takes a byte in a gigabyte as the problem does, and no back end takes more."""
    rng = np.random.default_rng(seed)
    sizes, times = np.round(rng.random(6) * 1e9), rng.random((3, 6))
    plenty = PipelinePartition(times, times, sizes, [1e12] * 3, 1, use_all_nodes=False)
    best = solve(plenty)
    chain = best.decision.chain
    need = np.add.reduceat(sizes, chain.boundaries[:-1])
    memory = np.full(3, 1e12)
    memory[chain.nodes[need.argmax()]] = need.max() - short
    problem = PipelinePartition(times, times, sizes, memory, 1, use_all_nodes=False)
    wanted = solve(problem, Enumerate())
    fits = need.max() <= (need.max() - short) * (1 + 1e-9)
    assert (wanted.objective == best.objective) == fits
    assert solve(problem, "subset_dp").objective == wanted.objective
    found = solve(problem, solver)
    assert found.objective == pytest.approx(wanted.objective, rel=1e-6)
    assert found.bound <= wanted.objective * (1 + 1e-9)
