"""Searches by swaps and the rules: against enumeration, their plain selves, and repeated."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError, solve
from splitopt.solvers.cluster_and_spectrum import annealing, gibbs, swap_loops
from splitopt.solvers.cluster_and_spectrum.annealing import Anneal
from splitopt.solvers.cluster_and_spectrum.gibbs import Gibbs
from splitopt.solvers.cluster_and_spectrum.swaps import (
    Swaps,
    by_capability,
    random_moves,
    starts_of,
)

SIZES = [(3, 3), (2, 3, 3), (4, 4), (1, 1, 2, 2, 2), (3, 3, 3)]


@pytest.mark.one_quick
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("epochs", "ties"), [(1, False), (1, True), (3, False)])
def test_annealing_finds_the_optimum_of_small_problems(random_clusters, sizes, epochs, ties):
    """Three chains among at most 2,520 partitions: enumeration agrees."""
    for seed in range(3):
        problem = random_clusters(seed, sizes, 11, epochs, ties)
        best = solve(problem, "enumerate")
        found = solve(problem, "anneal")
        assert best.outcome == "optimal"
        assert found.objective == pytest.approx(best.objective, rel=1e-9)
        assert found.bound <= best.objective * (1 + 1e-12)
        assert problem.violations(found.decision) == {}


@pytest.mark.parametrize("rule", ["greedy", "tie_safe", "exact"])
def test_pricing_two_clusters_is_pricing_all(random_clusters, rule):
    """Gibbs sampling walks through the same states whichever way it prices them."""
    for seed in range(3):
        problem = random_clusters(seed, (4, 5, 3, 4), 20, 1 + seed)
        naive, quick = (
            solve(
                problem,
                Gibbs(300, 0.05, evaluation=evaluation, subcarriers=rule),
                seed=seed,
            )
            for evaluation in ("naive", "incremental")
        )
        assert naive.decision.to_dict() == quick.decision.to_dict()
        assert naive.iterations == quick.iterations == 300


def test_the_best_state_is_no_worse_than_any_visited(random_clusters):
    """Replayed one swap at a time: the best that was seen, although the last is worse."""
    problem = random_clusters(1, (3, 3, 3, 3), 12)
    rng = np.random.default_rng(7)
    free = np.full(200, np.inf)
    free[::7] = -1e9  # some are never taken
    together = Swaps(problem, np.arange(12))
    together.advance(np.random.default_rng(7), free)
    moves = random_moves(rng, starts_of(problem), 200)
    members, seen = np.arange(12), [Swaps(problem, np.arange(12)).least]
    for (_, _, p, q), allowance in zip(moves, free, strict=True):
        if allowance > 0:
            members[[p, q]] = members[[q, p]]
            seen.append(float(Swaps(problem, members).costs.sum()))
    assert np.array_equal(members, together.members)
    assert together.costs.sum() == pytest.approx(seen[-1], rel=1e-12)
    assert together.least == pytest.approx(min(seen), rel=1e-12)
    again = problem.evaluate(together.decision(best=True))
    assert again == pytest.approx(min(seen), rel=1e-12)


def test_compiled_swaps_are_the_plain_ones(random_clusters, monkeypatch):
    """The loop without numba walks through the same states."""
    problem = random_clusters(3, (3, 2, 4), 12, 2)
    for naive in (False, True):
        states = []
        for plain in (False, True):
            with monkeypatch.context() as patch:
                if plain:
                    patch.setattr(swap_loops, "swap_many", swap_loops.swap_many.py_func)
                state = Swaps(problem, np.arange(9), naive=naive)
                state.advance(np.random.default_rng(5), np.full(60, 0.2))
            states.append(state)
        assert np.array_equal(states[0].members, states[1].members)
        assert np.array_equal(states[0].best, states[1].best)
        assert states[0].least == states[1].least


def test_moves_pair_different_clusters(random_clusters):
    """Every pair of clusters and every member is drawn, uniformly over clusters."""
    starts = starts_of(random_clusters(0, (1, 2, 5), 9))
    moves = random_moves(np.random.default_rng(0), starts, 30_000)
    assert (moves[:, 0] != moves[:, 1]).all()
    for cluster, place in ((0, 2), (1, 3)):
        inside = starts[moves[:, cluster]] <= moves[:, place]
        assert (inside & (moves[:, place] < starts[moves[:, cluster] + 1])).all()
        assert np.bincount(moves[:, cluster]) / 30_000 == pytest.approx(np.full(3, 1 / 3), abs=0.02)
    assert set(moves[:, 2]) == set(range(8))


def test_allowances_are_the_printed_probabilities():
    """Eq. 35 and Metropolis, by counting; and no overflow at CPSL's delta."""
    u = np.random.default_rng(0).random(200_000)
    for rise in (-0.3, 0.0, 0.1, 0.4):
        kept = (rise < gibbs.allowances(u, 0.2)).mean()
        assert kept == pytest.approx(1 / (1 + np.exp(rise / 0.2)), abs=0.005)
        kept = (rise < annealing.allowances(u, np.full(len(u), 0.2))).mean()
        assert kept == pytest.approx(min(1.0, np.exp(-rise / 0.2)), abs=0.005)
    assert np.isfinite(gibbs.allowances(np.array([0.0, 1e-300, 1 - 1e-16]), 1e-4)).all()


@pytest.mark.parametrize("name", ["gibbs", "anneal", "random_clusters"])
def test_same_seed_same_answer(random_clusters, name):
    """Seeds repeat, and differ from each other."""
    problem = random_clusters(5, (4, 4, 4, 4), 14)
    first, again, other = (solve(problem, name, seed=seed) for seed in (3, 3, 4))
    assert first.decision.to_dict() == again.decision.to_dict()
    if name != "anneal":
        assert first.decision.to_dict() != other.decision.to_dict()


@pytest.mark.slow
def test_chains_are_the_same_on_processes(random_clusters):
    """Two workers give what one gives."""
    problem = random_clusters(5, (4, 4, 4, 4), 14)
    alone, shared = (solve(problem, Anneal(workers=workers), seed=1) for workers in (1, 2))
    assert alone.objective == shared.objective
    assert alone.iterations == shared.iterations == 3 * 600 * 16


@pytest.mark.parametrize("name", ["gibbs", "anneal", "similar_compute", "random_clusters"])
def test_a_plan_comes_early(random_clusters, name):
    """A time limit of 0 gives a plan, and so does a user who interrupts at the first one."""
    problem = random_clusters(5, (4, 4, 4), 14)
    result = solve(problem, name, time_limit_s=0)
    assert result.outcome == "feasible"
    assert result.stop_reason in ("time", "converged")
    stopped = solve(problem, name, callback=lambda progress: progress.objective < np.inf)
    assert stopped.outcome == "feasible"


def test_the_sort_by_capability(random_clusters):
    """The fastest three to compute together, and so on; and one cluster needs no search."""
    problem = random_clusters(2, (3, 3), 9)
    compute = problem.forward_s + problem.backward_s
    result = solve(problem, "similar_compute")
    fast, slow = result.decision.clusters
    assert compute[fast].max() <= compute[slow].min()
    assert by_capability(problem).tolist() == np.argsort(compute, kind="stable").tolist()
    for name in ("anneal", "gibbs"):
        assert solve(random_clusters(0, (5,), 9), name).stop_reason == "converged"


@pytest.mark.parametrize("rule", ["greedy", "tie_safe"])
def test_rules_of_subcarriers_are_never_better(random_clusters, rule):
    """The same clusters with exact subcarriers take no longer."""
    for seed in range(5):
        problem = random_clusters(seed, (4, 4), 11, 2)
        exact = solve(problem, "random_clusters", seed=seed)
        other = solve(problem, "random_clusters", seed=seed, subcarriers=rule)
        assert exact.objective <= other.objective * (1 + 1e-12)


@pytest.mark.parametrize(
    ("solver", "options", "words"),
    [
        ("gibbs", {"iterations": 0}, "iterations: is 0"),
        ("gibbs", {"delta_s": 0.0}, "delta_s: is 0.0"),
        ("gibbs", {"evaluation": "lazy"}, "evaluation: is 'lazy', it must be one of naive, incr"),
        ("gibbs", {"keep": "all"}, "keep: is 'all'"),
        ("gibbs", {"subcarriers": "fair"}, "subcarriers: is 'fair'"),
        ("anneal", {"chains": 0}, "chains: is 0"),
        ("anneal", {"cold": 0.5}, "cold: is 0.5, it must be a number above 0 and at most 0.01"),
        ("anneal", {"workers": 1.5}, "workers: is 1.5"),
        ("similar_compute", {"subcarriers": "all"}, "subcarriers: is 'all'"),
    ],
)
def test_wrong_options_are_refused(random_clusters, solver, options, words):
    """Each in one sentence with the mend."""
    with pytest.raises(InputError, match=words):
        solve(random_clusters(0, (2, 2)), solver, **options)
