"""`manual`: MP-SL's even split, by hand on small cases, and never better than the optimum."""

from __future__ import annotations

import numpy as np

from splitopt import solve
from splitopt.problems.pipeline_partition import PipelinePartition


def alike(times, nodes, **changes):
    rows = np.tile(np.asarray(times, dtype=float), (nodes, 1))
    layers = len(times)
    fields = {"layer_memory_bytes": np.ones(layers), "node_memory_bytes": np.full(nodes, layers)}
    return PipelinePartition(rows, np.zeros_like(rows), **fields | {"owners": 1} | changes)


def test_it_takes_layers_up_to_the_even_share():
    result = solve(alike([3, 3, 3, 1, 1, 1], 2), "manual")  # the share is 6
    assert result.decision.assignment.tolist() == [0, 0, 1, 1, 1, 1]
    assert result.outcome == "optimal"
    odd = solve(alike([4, 4, 4], 2), "manual")  # the share of 6 is not exceeded
    assert (odd.objective, odd.outcome) == (8.0, "feasible")
    assert odd.decision.assignment.tolist() == [0, 1, 1]


def test_everybody_gets_a_layer_where_all_must_work():
    assert solve(alike([9, 1, 1], 3), "manual").decision.assignment.tolist() == [0, 1, 2]
    assert solve(alike([1, 1, 9], 3), "manual").decision.assignment.tolist() == [0, 1, 2]
    idle = solve(alike([9, 1, 1], 3, use_all_nodes=False), "manual")
    assert idle.decision.assignment.tolist() == [0, 1, 1]
    few = solve(alike([9, 1], 3, use_all_nodes=False), "manual")
    assert few.decision.assignment.tolist() == [0, 1]


def test_shares_follow_the_speed_of_the_nodes():
    times = np.ones(9)
    problem = PipelinePartition(
        np.stack((times, 2 * times)), np.zeros((2, 9)), np.ones(9), [9, 9], 1
    )
    assert solve(problem, "manual").decision.assignment.tolist() == [0] * 6 + [1] * 3


def test_it_stops_at_memory_and_says_where_its_split_does_not_fit():
    tight = alike([1] * 6, 2, node_memory_bytes=np.array([2.0, 4.0]))
    assert solve(tight, "manual").decision.assignment.tolist() == [0, 0, 1, 1, 1, 1]
    behind = solve(alike([1] * 6, 2, node_memory_bytes=np.array([4.0, 2.0])), "manual")
    assert behind.decision.assignment.tolist() == [0, 0, 0, 0, 1, 1]
    stuck = alike([1] * 3, 2, node_memory_bytes=np.array([2.0, 4.0]), layer_memory_bytes=[3, 1, 2])
    result = solve(stuck, "manual")
    assert result.outcome == "no_solution"
    assert "memory_bytes" in result.message


def test_the_optimum_is_never_worse(pipeline):
    for objective in ("period", "paper", "epoch"):
        gains = []
        for seed in range(60):
            problem = pipeline(seed, 3, 8, objective=objective, node_memory_bytes=[1e9] * 3)
            rule, best = solve(problem, "manual"), solve(problem)
            assert best.solver == "subset_dp"
            assert best.objective <= rule.objective * (1 + 1e-12)
            assert rule.bound <= best.objective * (1 + 1e-12)
            gains.append(rule.objective / best.objective)
        assert np.median(gains) > 1.05
