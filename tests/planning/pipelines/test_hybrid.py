"""Pipelines side by side, against every partition of the nodes and every division of the owners."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from splitopt import solve
from splitopt.errors import InfeasibleError, InputError
from splitopt.planning.pipelines import hybrid
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.restrict import alike_nodes, restricted
from splitopt.solvers.pipeline_partition.enumeration import Enumerate


def draw(seed, nodes, layers, owners, model="none", types=False):
    """Draw a pipeline whose memory is scarce for some groups."""
    rng = np.random.default_rng(seed)
    forward = rng.uniform(0.5, 3, (nodes, layers))
    if types:
        forward = forward[rng.integers(0, 2, nodes)]
    links = {"model": "none"}
    if model != "none":
        shape = {"uniform": (), "pairwise": (nodes, nodes), "nic": (nodes,)}[model]
        rate = rng.uniform(1, 5, shape) if shape else float(rng.uniform(1, 5))
        links = {"model": model, "bandwidth_bytes_per_s": rate, "latency_s": 0.1}
    size = owners * layers
    memory = np.full(nodes, 0.7 * size) if types else rng.uniform(0.2, 1.1, nodes) * size
    return PipelinePartition(
        forward_s=forward,
        backward_s=2 * forward,
        layer_memory_bytes=np.ones(layers),
        node_memory_bytes=memory,
        owners=owners,
        cut_up_bytes=rng.uniform(0, 2, layers + 1),
        cut_down_bytes=rng.uniform(0, 2, layers + 1),
        links=links,
    )


def groupings(items):
    """Yield every way to split a list into groups."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for size in range(len(rest) + 1):
        for others in itertools.combinations(rest, size):
            left = [item for item in rest if item not in others]
            for more in groupings(left):
                yield [(first, *others), *more]


def divisions(total, parts):
    """Yield every way to divide owners among groups, zero included."""
    if parts == 1:
        yield (total,)
        return
    for mine in range(total + 1):
        for rest in divisions(total - mine, parts - 1):
            yield (mine, *rest)


def brute_force(problem, batches, sync_s, sizes):
    """Try all groupings, whose groups may be empty of owners, with sizes that are asked for."""
    known = {}

    def epoch(nodes, owners):
        if owners == 0:
            return 0.0
        if (nodes, owners) not in known:
            part = restricted(
                problem, nodes, owners=owners, objective="epoch", batches=owners * batches
            )
            known[nodes, owners] = solve(part, Enumerate()).objective
        return known[nodes, owners]

    best = math.inf
    for groups in groupings(list(range(problem.nodes))):
        for owners in divisions(problem.owners, len(groups)):
            used = [(g, k) for g, k in zip(groups, owners, strict=True) if k]
            if not all(sizes(len(g)) for g, _ in used):
                continue
            value = max(epoch(g, k) for g, k in used) + (sync_s if len(used) > 1 else 0.0)
            best = min(best, value)
    return best


@pytest.mark.one_quick
@pytest.mark.parametrize("model", ["none", "uniform", "pairwise", "nic"])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_best_of_all_groupings(model, seed):
    """Groups and owners against enumeration, with and without a price to synchronise."""
    problem = draw(seed, 3, 4, 4, model, types=seed == 2)
    for sync_s in (0.0, 3.0):
        found = hybrid(problem, 2, sync_s=sync_s)
        assert found.epoch_s == pytest.approx(
            brute_force(problem, 2, sync_s, lambda _: True), rel=1e-9
        )
        wanted = brute_force(problem, 2, sync_s, lambda size: size == 1)
        assert found.horizontal_s == pytest.approx(wanted, rel=1e-9)
        assert sum(group.owners for group in found.groups) == problem.owners
        assert found.epoch_s <= min(found.pipeline_s, found.horizontal_s)


def test_the_groups_do_what_they_promise():
    """Every group is feasible by itself and takes the seconds that it states."""
    problem = draw(7, 4, 5, 6, "uniform")
    found = hybrid(problem, 3)
    taken = [node for group in found.groups for node in group.nodes]
    assert len(taken) == len(set(taken))
    for group in found.groups:
        part = restricted(
            problem,
            range(4),
            owners=group.owners,
            objective="epoch",
            use_all_nodes=False,
            batches=3 * group.owners,
        )
        assert not part.violations(group.assignment)
        assert part.evaluate(group.assignment) == pytest.approx(group.epoch_s, rel=1e-12)
        assert set(group.assignment.assignment.tolist()) == set(group.nodes)


def test_alike_nodes_share_their_solutions():
    """Four equal nodes are one kind; a matrix of links can tell them apart."""
    same = draw(1, 4, 4, 4)
    same = restricted(same, [0, 0, 0, 0])
    assert alike_nodes(same) == [0, 0, 0, 0]
    matrix = np.ones((4, 4))
    matrix[0, 1] = 2.0
    linked = restricted(
        same, range(4), links={"model": "pairwise", "bandwidth_bytes_per_s": matrix}
    )
    assert alike_nodes(linked) == [0, 1, 2, 2]
    assert alike_nodes(restricted(same, range(4), order="given")) == [0, 1, 2, 3]


def test_side_by_side_holds_what_no_pure_scheme_holds():
    """A pair of small nodes serves three owners together, and the large node the other five."""
    forward = np.array([[1.0] * 4, [2.0] * 4, [2.0] * 4])
    problem = PipelinePartition(forward, forward, np.ones(4), np.array([20.0, 7.0, 7.0]), 8)
    found = hybrid(problem, 10)
    assert found.pipeline_s == found.horizontal_s == math.inf
    assert [(group.nodes, group.owners) for group in found.groups] == [((0,), 5), ((1, 2), 3)]
    assert found.epoch_s == 5 * 10 * 8.0


def test_without_any_answer_it_says_so():
    """Nodes too small for one owner's layers in whatever grouping."""
    problem = draw(0, 2, 4, 3)
    small = restricted(problem, [0, 1], layer_memory_bytes=np.full(4, 1e9))
    with pytest.raises(InfeasibleError, match="more memory or fewer owners"):
        hybrid(small, 2)


def test_numbers_that_do_not_fit_are_named():
    """Batches, seconds to average, and too many nodes."""
    problem = draw(0, 2, 4, 3)
    with pytest.raises(InputError, match="batches_per_owner"):
        hybrid(problem, 0)
    with pytest.raises(InputError, match="sync_s"):
        hybrid(problem, 1, sync_s=-1.0)
    with pytest.raises(InputError, match="at most 12"):
        hybrid(restricted(problem, [0] * 13), 1)
