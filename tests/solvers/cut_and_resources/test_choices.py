"""Any choices and any resources: solvers against enumeration, other solvers and plain formulas.

Nothing here uses the code that is tested: the value of a plan is computed from the tables by its
formula (sum) or by bisection on the largest eigenvalue (makespan), and the optimum is the least of
all plans.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt import CutAndResources, solve
from splitopt.errors import CapabilityError, InputError
from splitopt.solvers.cut_and_resources.relaxation import root_bound
from splitopt.solvers.cut_and_resources.relaxation.grouping import fleet_of

OBJECTIVES = ("sum", "makespan")


def makespans(work, own):
    """Bisect for the T (P,) at which the largest eigenvalue of sum alpha alpha^T / (T - d) is one.

    Plans have works (P, N, R) and own seconds (P, N).
    """
    alpha, busy = np.sqrt(work), work.any(axis=2)
    low = own.max(axis=1)
    needed = np.where(busy, own, -np.inf).max(axis=1)
    high = low + work.sum(axis=(1, 2))
    for _ in range(70):
        middle = 0.5 * (low + high)
        left = np.where(busy, middle[:, None] - own, 1.0)
        open_ = middle > needed
        left = np.where(left > 0, left, 1.0)
        matrix = np.einsum("pnr,pn,pns->prs", alpha, 1 / left, alpha)
        fits = open_ & (np.linalg.eigvalsh(matrix)[:, -1] <= 1)
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    return high


def values(problem, plans):
    """Return the best values (P,) of plans (P, N), by the formulas."""
    rows = np.arange(problem.devices)
    work, own = problem.work_s[rows, plans], problem.own_s[rows, plans]
    if problem.objective == "sum":
        return (np.sqrt(work).sum(axis=1) ** 2).sum(axis=1) + own.sum(axis=1)
    return makespans(work, own)


def value(problem, choice):
    """Return the best value of one plan (N,)."""
    return float(values(problem, choice[None])[0])


def optimum(problem, budgets):
    """Return the least value of all plans that keep the budgets, infinite if there are none."""
    rows = np.arange(problem.devices)
    plans = np.array(list(itertools.product(*(np.flatnonzero(row) for row in problem.allowed))))
    for budget in budgets:
        plans = plans[budget["use"][rows, plans].sum(axis=1) <= budget["limit"]]
    return float(values(problem, plans).min()) if len(plans) else np.inf


def servers(rng, devices, count, cuts):
    """Draw tables in which a choice is a server, with three resources of its own, and a cut."""
    work = np.zeros((devices, count, cuts, count, 3))
    for k in range(count):
        work[:, k, :, k] = rng.uniform(0, 3, (devices, cuts, 3))
    return work.reshape(devices, count * cuts, 3 * count)


def draw(seed):
    """Draw a small instance of one of five kinds, half of them with budgets."""
    rng = np.random.default_rng(seed)
    devices, kind = int(rng.integers(1, 5)), seed % 5
    choices, resources = int(rng.integers(1, 6)), int(rng.integers(1, 7))
    shape = (devices, choices, resources)
    if kind == 0:  # any resource may be without use
        work = rng.uniform(0, 3, shape) * (rng.random(shape) < rng.random())
    elif kind == 1:
        work = servers(rng, devices, int(rng.integers(1, 4)), int(rng.integers(1, 3)))
    elif kind == 2:  # ties, zeros
        work = rng.integers(0, 3, shape).astype(float)
    elif kind == 3:  # six decades
        work = 10.0 ** rng.uniform(-3, 3, shape) * (rng.random(shape) < 0.6)
    else:  # identical devices
        work = np.repeat(servers(rng, 1, 2, 2), devices, axis=0)
    sizes = work.shape[:2]
    own = rng.integers(0, 4, sizes).astype(float) if kind == 2 else rng.uniform(0, 5, sizes)
    if kind == 4:
        own[:] = own[0]
    allowed = rng.random(sizes) < 0.8
    allowed[np.arange(devices), rng.integers(0, sizes[1], devices)] = True
    budgets = [
        {
            "name": f"budget {b}",
            "use": rng.integers(0, 4, sizes).astype(float),
            "limit": float(rng.integers(0, 2 * devices + 2)),
        }
        for b in range(int(rng.integers(0, 3)))
    ]
    problem = CutAndResources.of_choices(work, own, allowed=allowed, budgets=budgets)
    return problem, budgets


SLOW = [pytest.param(block, marks=pytest.mark.slow) for block in range(4, 8)]
MANY = [
    pytest.param(block, marks=[pytest.mark.slow, pytest.mark.statistics]) for block in range(8, 40)
]


@pytest.mark.one_quick
@pytest.mark.parametrize("block", [0, 1, 2, 3, *SLOW, *MANY])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_exact_finds_the_best_of_all_plans(objective, block):
    """400 instances and both objectives: the optimum, its proof, and that there is none."""
    for seed in range(10 * block, 10 * block + 10):
        free, budgets = draw(seed)
        problem = free.with_objective(objective)
        best = optimum(problem, budgets)
        found = solve(problem, "exact")
        if np.isinf(best):
            assert found.outcome == "infeasible", seed
            assert found.message, seed
            continue
        assert found.outcome == "optimal", seed
        assert found.objective == pytest.approx(best, rel=1e-8, abs=1e-12), seed
        assert value(problem, found.decision.choice) == pytest.approx(best, rel=1e-8, abs=1e-12)
        assert found.bound <= best * (1 + 1e-9) + 1e-12, seed
        assert problem.violations(found.decision) == {}
        assert problem.bound() <= best * (1 + 1e-9)
        assert root_bound(problem) <= best * (1 + 1e-9)


@pytest.mark.parametrize("solver", ["enumerate", "price_consensus", "block_descent", "equal_share"])
def test_other_solvers_are_right_or_above(solver):
    """Those that prove are right; rules and descent are never below the optimum."""
    for seed in range(40):
        problem, budgets = draw(seed)
        best = optimum(problem, budgets)
        if np.isinf(best) or (solver == "price_consensus" and (budgets or problem.devices < 2)):
            continue
        found = solve(problem, solver)
        if found.objective == np.inf:
            assert budgets, seed  # a repair may fail where several budgets are tight
            continue
        assert found.objective >= best * (1 - 1e-9), seed
        if solver in ("enumerate", "price_consensus"):
            assert found.objective == pytest.approx(best, rel=1e-8), seed


@pytest.mark.parametrize(
    "solver",
    [
        "scip",
        "gurobi",
        pytest.param("cvxpy:SCIP", marks=pytest.mark.slow),
        pytest.param("pyomo:scip_direct", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_other_peoples_solvers_agree(solver, objective):
    """Models of two servers with seats, solved by others, end where enumeration does."""
    rng = np.random.default_rng(3)
    use = np.repeat(np.eye(2), 2, axis=1)
    budgets = [
        {"name": f"seats {k}", "use": np.tile(use[k], (3, 1)), "limit": 2.0} for k in range(2)
    ]
    problem = CutAndResources.of_choices(
        servers(rng, 3, 2, 2), rng.uniform(0, 3, (3, 4)), objective, budgets=budgets
    )
    found = solve(problem, solver, time_limit_s=20)
    assert found.objective == pytest.approx(optimum(problem, budgets), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_any_prices_prove_a_bound_on_the_sum(seed):
    """g(p) = -|p|^2 / 4 + sum_n min_o (own + p . alpha) is below every plan, whatever p."""
    rng = np.random.default_rng(seed)
    problem = CutAndResources.of_choices(servers(rng, 4, 3, 2), rng.uniform(0, 3, (4, 6)))
    best = optimum(problem, [])
    reached = -np.inf
    for _ in range(200):
        p = rng.uniform(0, 8, 9)
        g = -p @ p / 4 + (problem.own_s + problem.roots @ p).min(axis=1).sum()
        assert g <= best
        reached = max(reached, g)
    p = np.array(solve(problem, "exact").details["prices"])
    proved = -p @ p / 4 + (problem.own_s + problem.roots @ p).min(axis=1).sum()
    assert proved >= reached  # the solver's own are better than any that were drawn
    assert proved == pytest.approx(root_bound(problem), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_any_prices_refute_a_makespan(seed):
    """sum_n min over (k, l) of pi_k (u_k . alpha)^2 / (T - d) > sum pi_k: no plan meets T."""
    rng = np.random.default_rng(seed)
    problem = CutAndResources.of_choices(
        servers(rng, 4, 3, 2), rng.uniform(0, 3, (4, 6)), "makespan"
    )
    best = optimum(problem, [])
    roots, server = problem.roots.reshape(4, 3, 2, 3, 3), np.arange(3)
    refuted = 0
    for _ in range(300):
        deadline = rng.uniform(0.3, 1.5) * best
        u, pi = rng.uniform(0, 1, (3, 3)), rng.uniform(0, 1, 3)
        u /= np.linalg.norm(u, axis=1)[:, None]
        alpha = roots[:, server, :, server]  # (K, N, L, 3)
        left = deadline - problem.own_s.reshape(4, 3, 2).transpose(1, 0, 2)
        work = pi[:, None, None] * np.einsum("knlr,kr->knl", alpha, u) ** 2
        cost = np.where(left > 0, work / np.where(left > 0, left, 1.0), np.inf)
        if cost.min(axis=(0, 2)).sum() > pi.sum():
            assert deadline <= best
            refuted += 1
    assert refuted > 10
    assert root_bound(problem) <= best * (1 + 1e-12)


def test_three_resources_are_the_problem_of_cuts(random_problem):
    """The tables of cuts and their general form have the same optimum, bound and shares."""
    for objective in OBJECTIVES:
        cuts = random_problem(5, 6, 4).with_objective(objective)
        general = CutAndResources.of_choices(
            cuts.work_s, cuts.own_s, objective, allowed=cuts.allowed, resources=cuts.resources
        )
        one, other = solve(cuts, "exact"), solve(general, "exact")
        assert other.objective == pytest.approx(one.objective, rel=1e-9)
        assert general.bound() == pytest.approx(cuts.bound(), rel=1e-12)
        assert root_bound(general) == pytest.approx(root_bound(cuts), rel=1e-9)
        assert other.decision.choice.tolist() == (one.decision.cut - 1).tolist()
        np.testing.assert_allclose(other.decision.share, one.decision.shares, rtol=1e-6)


def test_resources_that_never_meet_are_held_apart():
    """A fleet between three servers has three slots for nine resources, in three blocks."""
    rng = np.random.default_rng(0)
    fleet = fleet_of(CutAndResources.of_choices(servers(rng, 5, 3, 2), rng.uniform(0, 3, (5, 6))))
    assert fleet.roots.shape == (5, 6, 3)
    assert [block.tolist() for block in fleet.layout.packing.blocks] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
    ]
    assert fleet.layout.packing.size == 18
    assert fleet.layout.kinds.tolist() == [0, 0, 1, 1, 2, 2]


def test_seats_are_kept_and_cost():
    """With one seat at each of four servers, four devices are spread, as enumeration has it."""
    rng = np.random.default_rng(1)
    work, own = servers(rng, 4, 4, 1), rng.uniform(0, 3, (4, 4))
    work[:, 0] *= 0.01  # everybody would rather be there
    seats = [
        {"name": f"seat {k}", "use": np.tile(np.arange(4.0) == k, (4, 1)) * 1.0, "limit": 1.0}
        for k in range(4)
    ]
    free = solve(CutAndResources.of_choices(work, own), "exact")
    problem = CutAndResources.of_choices(work, own, budgets=seats)
    found = solve(problem, "exact")
    assert sorted(found.decision.choice.tolist()) == [0, 1, 2, 3]
    assert found.objective == pytest.approx(optimum(problem, seats), rel=1e-9)
    assert found.objective > free.objective


@pytest.mark.parametrize(
    ("solver", "words"),
    [
        ("dp_mora", "relaxes the cut to a number, and this problem's choices are no cuts"),
        ("faaf", "prescribes cuts, and this problem's choices are none"),
        ("sf3af", "prescribes cuts, and this problem's choices are none"),
        ("proportional_share", "needs 'weights'"),
        ("nearest_server", "chooses between servers, and all resources of this problem interact"),
    ],
)
def test_what_needs_cuts_says_so(solver, words):
    """A solver that cannot take a problem of choices refuses in one sentence."""
    problem = CutAndResources.of_choices(np.ones((2, 2, 2)), np.ones((2, 2)))
    with pytest.raises(CapabilityError, match=words):
        solve(problem, solver)


def test_prices_of_other_resources_are_refused():
    """Prices to start from are one for each resource."""
    problem = CutAndResources.of_choices(np.ones((2, 2, 2)), np.ones((2, 2)))
    with pytest.raises(InputError, match="prices: is 3, it must be 2 entries"):
        solve(problem, "exact", prices=(1.0, 1.0, 1.0))
    assert solve(problem, "exact", prices=(1.0, 2.0)).outcome == "optimal"


@pytest.mark.slow
def test_rules_of_association_are_plans_and_no_better():
    """Both rules serve everybody; neither is below the proved optimum."""
    rng = np.random.default_rng(2)
    for objective in OBJECTIVES:
        problem = CutAndResources.of_choices(
            servers(rng, 4, 3, 2), rng.uniform(0, 3, (4, 6)), objective
        )
        best = optimum(problem, [])
        for rule in ("nearest_server", "greedy_association"):
            found = solve(problem, rule)
            assert found.outcome in ("feasible", "optimal")
            assert found.objective >= best * (1 - 1e-9)
        alone = (problem.work_s.sum(axis=2) + problem.own_s).argmin(axis=1) // 2
        assert (solve(problem, "nearest_server").decision.choice // 2 == alone).all()
