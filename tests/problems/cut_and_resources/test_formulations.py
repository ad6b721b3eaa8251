"""The modelling layer against brute force, and against models that users extended."""

from __future__ import annotations

import itertools
import math

import cvxpy as cp
import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory

from splitopt import CutAndResources, InputError
from splitopt.errors import InfeasibleError
from splitopt.problems.cut_and_resources.cvxpy_model import cvxpy_size
from splitopt.problems.cut_and_resources.formulation import model_size
from splitopt.problems.cut_and_resources.tradeoff_fields import PRICED
from splitopt.solvers.backends.licence import licence_problem
from splitopt.solvers.cut_and_resources.relaxation import root_bound

FORMULATIONS = [("sum", "miqp"), ("sum", "misocp"), ("makespan", "misocp")]
LANGUAGES = ["cvxpy", "pyomo", "gurobi", "scip"]


def brute_force(problem, keep=lambda cuts: True, value=None):
    """Compute the smallest objective over all allowed vectors of cuts that `keep` accepts."""
    value = value or (lambda cuts: problem.evaluate(problem.complete(cuts)))
    choices = [np.flatnonzero(row) + 1 for row in problem.allowed]
    return min(value(np.array(cuts)) for cuts in itertools.product(*choices) if keep(cuts))


def build(problem, language, formulation):
    """Build the model with a typical latency as the unit of time."""
    unit_s = float(np.median(problem.device_s)) or 1.0
    return getattr(problem, f"to_{language}")(formulation=formulation, unit_s=unit_s)


def optimise(model, language):
    """Solve a model as a user would, with SCIP where Gurobi has no licence; give its value in s."""
    licensed = licence_problem() is None
    if language == "cvxpy":
        value = model.program().solve(solver=cp.GUROBI if licensed else cp.SCIP)
    elif language == "pyomo":
        solver = "gurobi_direct_minlp" if licensed else "scip_direct"
        results = SolverFactory(solver).solve(model.model)
        value = results.incumbent_objective
    elif language == "gurobi":
        model.model.optimize()
        value = model.model.ObjVal
    else:
        model.model.optimize()
        value = model.model.getObjVal()
    return value * model.unit_s


@pytest.fixture
def odd_problem(random_problem):
    """Return a function that draws small problems with masks, zeros and an unneeded resource."""

    def draw(seed, objective):
        problem = random_problem(seed, 4, 3, objective, masked=True)
        rng = np.random.default_rng(seed)
        tables = problem.data()
        for name in ("download_s", "upload_s", "device_s"):
            tables[name] = np.where(rng.random((4, 3)) < 0.3, 0.0, tables[name])
        if seed % 2:
            tables["server_s"] = np.zeros((4, 3))
        return CutAndResources(**tables, objective=objective)

    return draw


@pytest.mark.one_quick
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("objective", "formulation"), FORMULATIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_formulation_finds_the_optimum(odd_problem, language, objective, formulation, seed):
    """Objective, cuts and completed decision agree with the enumeration of all cuts."""
    problem = odd_problem(seed, objective)
    model = build(problem, language, formulation)
    value = optimise(model, language)
    best = brute_force(problem)
    decision = model.decision()
    assert value == pytest.approx(best, rel=1e-5, abs=1e-9)
    assert problem.evaluate(decision) == pytest.approx(best, rel=1e-6, abs=1e-12)
    assert problem.violations(decision) == {}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_the_relaxation_is_below_the_optimum(odd_problem, objective, seed):
    """Mixed cuts cost no more; for the sum both cone programs equal the dual of three prices."""
    problem = odd_problem(seed, objective)
    unit_s = float(np.median(problem.device_s)) or 1.0
    formulations = ["miqp", "misocp"] if objective == "sum" else ["misocp"]
    for formulation in formulations:
        model = problem.to_cvxpy(relaxed=True, formulation=formulation, unit_s=unit_s)
        value = model.program().solve(solver=cp.CLARABEL) * unit_s
        assert value <= brute_force(problem) * (1 + 1e-7)
        if objective == "sum":
            assert value == pytest.approx(root_bound(problem), rel=1e-6, abs=1e-9)


def test_a_relaxed_model_has_no_decision():
    """Where a device mixes its cuts, asking for the decision says so instead of rounding."""
    problem = CutAndResources(
        download_s=[[9.0, 0.0]],
        upload_s=[[0.0, 9.0]],
        server_s=[[0.0, 0.0]],
        device_s=[[0.0, 0.0]],
        allowed=np.ones((1, 2), dtype=bool),
    )
    model = problem.to_cvxpy(relaxed=True)
    assert model.program().solve(solver=cp.CLARABEL) == pytest.approx(4.5, rel=1e-6)
    with pytest.raises(InputError, match="no single cut"):
        model.decision()


@pytest.mark.gurobi
@pytest.mark.parametrize(("objective", "formulation"), FORMULATIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_sizes_are_counted_without_building(odd_problem, objective, formulation, seed):
    """The count equals what Gurobi sees, directly, through Pyomo, and through CVXPY."""
    problem = odd_problem(seed, objective)
    model = problem.to_gurobi(formulation=formulation).model
    size = model_size(problem, formulation)
    assert (size.variables, size.linear_constraints) == (model.NumVars, model.NumConstrs)
    assert size.quadratic_constraints == model.NumQConstrs
    pyomo_model = problem.to_pyomo(formulation).model
    results = SolverFactory("gurobi_direct_minlp").solve(pyomo_model)
    assert results.solution_loader._solver_model.NumVars == size.variables
    program = problem.to_cvxpy(formulation=formulation).program()
    program.solve(solver=cp.GUROBI)
    seen, counted = program.solver_stats.extra_stats, cvxpy_size(problem, formulation)
    assert (counted.variables, counted.linear_constraints) == (seen.NumVars, seen.NumConstrs)
    assert counted.quadratic_constraints == seen.NumQConstrs


def add_few_cuts(model, language, most):
    """Allow at most `most` distinct cuts: a binary per cut that every use of it switches on."""
    problem = model.problem
    if language == "cvxpy":
        on = cp.Variable(problem.layers, boolean=True)
        model.constraints["use"] = model.x <= cp.vstack([on] * problem.devices)
        model.constraints["few"] = cp.sum(on) <= most
    elif language == "pyomo":
        m = model.model
        m.on = pyo.Var(range(1, problem.layers + 1), domain=pyo.Binary)
        m.use = pyo.Constraint(list(m.x), rule=lambda m, n, cut: m.x[n, cut] <= m.on[cut])
        m.few = pyo.Constraint(expr=sum(m.on.values()) <= most)
    elif language == "gurobi":
        on = model.model.addVars(range(1, problem.layers + 1), vtype="B")
        for (_, cut), use in model.x.items():
            model.model.addConstr(use <= on[cut])
        model.model.addConstr(on.sum() <= most)
    else:
        on = {cut: model.model.addVar(vtype="B") for cut in range(1, problem.layers + 1)}
        for (_, cut), use in model.x.items():
            model.model.addCons(use <= on[cut])
        model.model.addCons(sum(on.values()) <= most)


@pytest.mark.one_quick
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("objective", "formulation"), FORMULATIONS)
def test_at_most_k_distinct_cuts(random_problem, language, objective, formulation):
    """A constraint that a user adds changes the optimum as brute force says."""
    if language in ("cvxpy", "pyomo") and (reason := licence_problem()):
        pytest.skip(f"gurobi {reason}, and SCIP takes minutes for this")
    problem = random_problem(2, 4, 3, objective)
    model = build(problem, language, formulation)
    add_few_cuts(model, language, 1)
    optimise(model, language)
    best = brute_force(problem, lambda cuts: len(set(cuts)) == 1)
    assert best > brute_force(problem) * 1.01
    assert problem.evaluate(model.decision()) == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize(("objective", "formulation"), FORMULATIONS)
def test_a_memory_limit(random_problem, objective, formulation):
    """A limit on what a device's own cut may hold is one linear constraint on its row of x."""
    problem = random_problem(7, 4, 4, objective)
    memory = np.array([10.0, 20.0, 40.0, 80.0])
    free = build(problem, "pyomo", formulation)
    optimise(free, "pyomo")
    deepest = int(free.decision().cut.argmax())
    limit = memory[free.decision().cut[deepest] - 1] - 1
    model = build(problem, "pyomo", formulation)
    model.model.memory = pyo.Constraint(
        expr=sum(memory[cut - 1] * model.model.x[deepest, cut] for cut in range(1, 5)) <= limit
    )
    optimise(model, "pyomo")
    best = brute_force(problem, lambda cuts: memory[cuts[deepest] - 1] <= limit)
    assert best > brute_force(problem) * (1 + 1e-3)
    assert problem.evaluate(model.decision()) == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_constraint_on_shares(random_problem, language):
    """Device 0 is promised 60 % of the uplink: the model's own shares are kept and are optimal."""
    problem = random_problem(1, 3, 3)
    model = build(problem, language, "misocp")
    if language == "cvxpy":
        model.constraints["promise"] = model.share[0, 1] >= 0.6
    elif language == "pyomo":
        model.model.promise = pyo.Constraint(expr=model.model.share[0, "upload"] >= 0.6)
    elif language == "gurobi":
        model.model.addConstr(model.share[0, "upload"] >= 0.6)
    else:
        model.model.addCons(model.share[0, "upload"] >= 0.6)

    def promised(cuts):
        root = problem.roots[np.arange(3), cuts - 1]
        promised_s = root[0, 1] ** 2 / 0.6 + root[1:, 1].sum() ** 2 / 0.4
        uplink = max(root[:, 1].sum() ** 2, promised_s)
        if root[0, 1] >= 0.6 * root[:, 1].sum():
            uplink = root[:, 1].sum() ** 2
        others = root[:, 0].sum() ** 2 + root[:, 2].sum() ** 2
        return others + uplink + problem.device_s[np.arange(3), cuts - 1].sum()

    optimise(model, language)
    decision = model.decision(keep_shares=True)
    assert decision.upload_share[0] >= 0.6 - 1e-5
    assert problem.violations(decision) == {}
    best = brute_force(problem, value=promised)
    assert best > brute_force(problem) * 1.001
    assert problem.evaluate(decision) == pytest.approx(best, rel=1e-4)


@pytest.mark.gurobi
@pytest.mark.parametrize("objective", ["sum", "makespan", *PRICED])
def test_priorities_and_energy_reach_the_models(random_problem, objective):
    """A model of a problem with priorities and energy gives a decision of that very problem."""
    fields = random_problem(3, 3, 3).data()
    problem = CutAndResources(
        **fields,
        objective=objective,
        priority=[1.0, 5.0, 0.2],
        device_w=[2.0, 1.0, 3.0],
        radio_w=[0.5, 4.0, 1.0],
        seconds_per_joule=0.7,
    )
    model = build(problem, "gurobi", None)
    value = optimise(model, "gurobi")
    decision = model.decision()
    assert value == pytest.approx(brute_force(problem), rel=1e-5)
    assert problem.evaluate(decision) == pytest.approx(brute_force(problem), rel=1e-6)
    assert problem.violations(decision) == {}
    shared = build(problem, "scip", "misocp")
    optimise(shared, "scip")
    assert problem.violations(shared.decision(keep_shares=True)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_the_minlp_of_the_paper(objective):
    """Eq. 19 over curves equals brute force over their values at integer cuts, clipped at zero."""
    rng = np.random.default_rng(4)
    reciprocal, linear = rng.uniform(0.5, 2, (2, 4, 2)), rng.normal(size=(2, 4, 2))
    cuts = np.arange(1, 4)
    values = np.maximum(reciprocal[..., :1] / cuts + reciprocal[..., 1:], 0.0)
    values += np.maximum(linear[..., :1] * cuts + linear[..., 1:], 0.0)
    assert (linear[..., :1] * cuts + linear[..., 1:]).min() < 0
    allowed = np.array([[True, True, True], [True, False, True]])
    problem = CutAndResources(
        *values.transpose(1, 0, 2),
        allowed,
        objective=objective,
        curves={"reciprocal": reciprocal, "linear": linear},
    )
    model = problem.to_pyomo("minlp", unit_s=4.0)
    results = SolverFactory("scip_direct").solve(
        model.model, time_limit=5, raise_exception_on_nonoptimal_result=False
    )
    best = brute_force(problem)
    assert results.incumbent_objective * 4.0 == pytest.approx(best, rel=1e-5)
    assert results.objective_bound * 4.0 <= best * (1 + 1e-6)
    assert problem.evaluate(model.decision()) == pytest.approx(best, rel=1e-6)
    assert [model.model.cut[n].value for n in range(2)] == pytest.approx(model.cuts())


def test_the_minlp_needs_curves(random_problem):
    """A problem without curves says what is missing."""
    with pytest.raises(InputError, match="needs a problem with 'curves'"):
        random_problem().to_pyomo("minlp")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_model_that_was_not_solved_has_no_decision(random_problem, language):
    """Values are read only after asking for an incumbent."""
    model = build(random_problem(), language, None)
    with pytest.raises(InputError, match="holds no solution"):
        model.decision()
    assert model.share_values() is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_cannot_be_built_says_why(random_problem, language):
    """Unknown formulations, an objective without a form, units, and devices without a cut."""
    problem = random_problem()
    with pytest.raises(InputError, match="must be 'miqp' or 'misocp'"):
        build(problem, language, "qubo")
    with pytest.raises(InputError, match="take 'misocp'"):
        build(problem.with_objective("makespan"), language, "miqp")
    for unit_s in (0.0, math.inf, math.nan):
        with pytest.raises(InputError, match="unit_s"):
            getattr(problem, f"to_{language}")(unit_s=unit_s)
    stuck = CutAndResources(**{**problem.data(), "allowed": np.zeros((4, 4), dtype=bool)})
    with pytest.raises(InfeasibleError, match="no allowed cut"):
        build(stuck, language, None)
    free = build(problem, language, "miqp")
    optimise(free, language)
    with pytest.raises(InputError, match="has no shares"):
        free.decision(keep_shares=True)


@pytest.mark.gurobi
def test_constraints_have_the_names_of_the_documentation(odd_problem):
    """A user finds every constraint of the formulation by its name."""
    problem = odd_problem(0, "makespan")
    names = {"one_cut", "service", "budget", "deadline"}
    assert names < problem.to_cvxpy().constraints.keys()
    assert all(hasattr(problem.to_pyomo().model, name) for name in names)
    gurobi = problem.to_gurobi().model
    found = [c.ConstrName for c in gurobi.getConstrs()] + [q.QCName for q in gurobi.getQConstrs()]
    assert names < {name.partition("[")[0] for name in found}
    scip = problem.to_scip().model
    found = [constraint.name for constraint in scip.getConss()]
    assert names < {name.partition("[")[0] for name in found}
