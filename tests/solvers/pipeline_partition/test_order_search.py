"""`order_search`: its bound and its answers against exact ones, and where it is chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splitopt import solve
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.solvers.pipeline_partition.order_search import OrderSearch, merge_nodes

MODELS = ("none", "uniform", "pairwise", "nic", "serial")


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["period", "epoch"])
@pytest.mark.parametrize("model", MODELS)
def test_bound_and_answer_enclose_the_optimum(model, objective, pipeline):
    """Small instances, merged into few groups; memory and missing links make some infeasible."""
    solver, hits, total = OrderSearch(patience=4, bound_states=16), 0, 0
    for seed in range(8):
        problem = pipeline(seed, 4, 7, model, objective, whole=seed % 2 == 0)
        exact, found = solve(problem), solve(problem, solver, seed=1)
        if exact.decision is None:
            assert found.decision is None
            continue
        assert found.bound <= exact.objective * (1 + 1e-9)
        if found.decision is None:  # every order that was tried may lack memory or links
            continue
        assert found.objective >= exact.objective * (1 - 1e-9)
        total += 1
        hits += found.objective <= exact.objective * (1 + 1e-9)
    assert hits >= total / 2


def test_merging_never_raises_the_optimum(pipeline):
    for seed in range(10):
        for model in ("pairwise", "nic"):
            problem = replace(pipeline(seed, 5, 8, model), order="free")
            merged = merge_nodes(problem, 64)
            exact, relaxed = solve(problem), solve(merged)
            assert relaxed.bound <= exact.bound * (1 + 1e-9)


@pytest.mark.slow
def test_it_is_chosen_for_many_different_nodes():
    """20 nodes with a matrix of rates: more than subset_dp lays out."""
    rng = np.random.default_rng(0)
    work = rng.uniform(1, 2, 40) / rng.uniform(0.9, 1.1, 20)[:, None]
    problem = PipelinePartition(
        work,
        work,
        np.ones(40),
        np.full(20, 40.0),
        1,
        cut_up_bytes=rng.uniform(0, 1, 41),
        cut_down_bytes=rng.uniform(0, 1, 41),
        links={"model": "pairwise", "bandwidth_bytes_per_s": rng.uniform(0.2, 2, (20, 20))},
    )
    result = solve(problem, time_limit_s=1.5)
    assert (result.solver, result.outcome) == ("order_search", "feasible")
    assert problem.bound() * (1 - 1e-9) <= result.bound <= result.objective
    assert result.objective < solve(problem, "manual").objective
