"""`enumerate` against every assignment there is, feasible or not, written as plain loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from splitopt import solve
from splitopt.errors import CapabilityError, InputError
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.solvers.pipeline_partition.enumeration import Enumerate, count_partitions

OBJECTIVES = ("period", "paper", "epoch")
MODELS = ("none", "uniform", "pairwise", "nic", "serial")


def best_by_hand(problem, worked_by_hand):
    """Compute (objective, latency) of the best of all N^S assignments."""
    best = (math.inf, math.inf)
    for assignment in itertools.product(range(problem.nodes), repeat=problem.layers):
        if problem.violations(PipelinePartitionDecision(assignment)):
            continue
        known = worked_by_hand(problem, assignment)
        known["epoch"] = known["latency"] + (problem.batches - 1) * known["period"]
        best = min(best, (known[problem.objective], known["latency"]))
    return best


PAIRS = [(o, m) for o in OBJECTIVES for m in MODELS if o != "paper" or m == "none"]


@pytest.mark.one_quick
@pytest.mark.parametrize(("objective", "model"), PAIRS)
def test_it_finds_the_best_of_all_assignments(objective, model, pipeline, worked_by_hand):
    infeasible = 0
    for seed in range(12):
        problem = pipeline(seed, 3, 4, model, objective, whole=seed % 2 == 0)
        value, latency = best_by_hand(problem, worked_by_hand)
        result = solve(problem, Enumerate())
        if math.isinf(value):
            infeasible += 1
            assert (result.outcome, result.decision) == ("infeasible", None)
            assert result.message
            continue
        assert result.outcome == "optimal"
        assert result.objective == pytest.approx(value, rel=1e-12)
        assert problem.latency(result.decision) == pytest.approx(latency, rel=1e-12)
    assert infeasible < 12


def test_it_counts_what_it_would_try(pipeline):
    for seed in range(8):
        problem = pipeline(seed, 3, 4)
        seen = 0
        for assignment in itertools.product(range(3), repeat=4):
            found = problem.violations(PipelinePartitionDecision(assignment))
            seen += not {"scattered_layers", "idle_nodes", "nodes_out_of_order"} & found.keys()
        assert count_partitions(problem) == seen


def test_it_refuses_what_would_take_too_long(pipeline):
    with pytest.raises(CapabilityError, match=r"would have to try .* max_partitions = 10"):
        solve(pipeline(0, 3, 9), Enumerate(max_partitions=10))
    with pytest.raises(InputError, match="max_partitions: is 0"):
        Enumerate(max_partitions=0)


@pytest.mark.slow
def test_numbers_too_long_to_write_are_still_refused_with_their_size():
    """2,000 layers on as many nodes: 2,000! orders, a number of 5,736 digits."""
    ones = np.ones((2000, 2000))
    vast = PipelinePartition(ones, ones, np.ones(2000), np.full(2000, 9.0), 1)
    assert "about 10^5735 partitions" in (Enumerate().refusal(vast) or "")


def test_without_time_it_still_answers(pipeline):
    problem = pipeline(0, 4, 7, order="free", use_all_nodes=False)
    result = solve(problem, Enumerate(), time_limit_s=0)
    assert (result.outcome, result.stop_reason) == ("feasible", "time")
