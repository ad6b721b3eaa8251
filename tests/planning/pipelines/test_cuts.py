"""The joint choice of first and last cut, against solving every pair by enumeration."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import solve
from splitopt.errors import InfeasibleError, InputError
from splitopt.planning.pipelines import best_cuts
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.solvers.pipeline_partition.enumeration import Enumerate


def draw(seed, nodes, layers, objective, model="none"):
    """Draw all layers of a model on nodes, and two owners."""
    rng = np.random.default_rng(seed)
    links = {"model": model}
    if model == "uniform":
        links |= {"bandwidth_bytes_per_s": 2.0, "owner_bandwidth_bytes_per_s": 3.0}
    memory = rng.uniform(0.5, 2, layers)
    problem = PipelinePartition(
        forward_s=rng.uniform(0.2, 2, (nodes, layers)),
        backward_s=rng.uniform(0.2, 2, (nodes, layers)),
        layer_memory_bytes=memory,
        node_memory_bytes=rng.uniform(0.5, 1.2, nodes) * memory.sum() * 2,
        owners=2,
        objective=objective,
        cut_up_bytes=rng.uniform(0, 4, layers + 1),
        cut_down_bytes=rng.uniform(0, 4, layers + 1),
        links=links,
        use_all_nodes=False,
        batches=6,
    )
    own = rng.uniform(1, 9, (2, 2, layers))
    return problem, own[0], own[1], rng.uniform(0.4, 0.8, 2) * memory.sum()


def every_pair(problem, forward, backward, memory):
    """Compute (value, latency) of the best pair, by loops."""
    layers, best = problem.layers, (np.inf, np.inf)
    for first in range(1, layers):
        for last in range(first + 1, layers):
            mine = [*range(first), *range(last, layers)]
            if sum(problem.layer_memory_bytes[j] for j in mine) > memory.min():
                continue
            inner = list(range(first, last))
            part = PipelinePartition(
                problem.forward_s[:, inner],
                problem.backward_s[:, inner],
                problem.layer_memory_bytes[inner],
                problem.node_memory_bytes,
                problem.owners,
                problem.objective,
                problem.cut_up_bytes[first : last + 1],
                problem.cut_down_bytes[first : last + 1],
                problem.links,
                use_all_nodes=False,
                batches=problem.batches,
            )
            found = solve(part, Enumerate())
            if found.decision is None:
                continue
            own = np.mean([sum(forward[k][j] + backward[k][j] for j in mine) for k in range(2)])
            value = found.objective + (own if problem.objective == "epoch" else 0.0)
            best = min(best, (value, part.latency(found.decision) + own))
    return best


@pytest.mark.parametrize("objective", ["period", "epoch"])
@pytest.mark.parametrize("model", ["none", "uniform"])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_best_of_all_pairs(objective, model, seed):
    """Value and trip of the choice are those of the best pair that fits."""
    case = draw(seed, 2, 6, objective, model)
    value, latency = every_pair(*case)
    found = best_cuts(*case)
    assert found.value == pytest.approx(value, rel=1e-9)
    assert found.latency_s == pytest.approx(latency, rel=1e-9)
    assert 1 <= found.solved <= found.pairs


def test_bounds_spare_most_pairs():
    """Owners that are slow make deep cuts hopeless under the objective 'epoch'."""
    problem, forward, backward, memory = draw(3, 2, 10, "epoch")
    found = best_cuts(problem, 50 * forward, 50 * backward, memory)
    assert found.solved < found.pairs / 2


def test_an_owner_without_memory_is_told_how_much_it_needs():
    """The least parts are the first and the last layer."""
    problem, forward, backward, memory = draw(0, 2, 6, "period")
    with pytest.raises(InfeasibleError, match="the least first and last part take"):
        best_cuts(problem, forward, backward, 0 * memory)


def test_numbers_that_do_not_fit_are_named():
    """Shapes, counts of layers, and an objective without meaning here."""
    problem, forward, backward, memory = draw(0, 2, 6, "period")
    with pytest.raises(InputError, match="owner_forward_s"):
        best_cuts(problem, forward[:, :3], backward, memory)
    with pytest.raises(InputError, match="least_first: is 6"):
        best_cuts(problem, forward, backward, memory, least_first=6)
    with pytest.raises(InputError, match="'paper'"):
        best_cuts(problem.with_objective("paper"), forward, backward, memory)
