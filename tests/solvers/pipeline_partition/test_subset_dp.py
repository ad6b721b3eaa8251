"""`subset_dp` against every partition there is, and against proofs that nothing better exists."""

from __future__ import annotations

import math

import numpy as np
import pytest

from splitopt import solve
from splitopt.errors import CapabilityError, InputError
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.solvers.base import Search
from splitopt.solvers.pipeline_partition.chains import caps
from splitopt.solvers.pipeline_partition.enumeration import Enumerate
from splitopt.solvers.pipeline_partition.subset_dp import SubsetDp

OBJECTIVES = ("period", "paper", "epoch")


def alike(problem, count):
    """Make the first `count` nodes of a problem alike."""
    tables = {
        name: getattr(problem, name).copy()
        for name in ("forward_s", "backward_s", "node_memory_bytes")
    }
    for table in tables.values():
        table[1:count] = table[0]
    return PipelinePartition.from_data(problem.data() | tables, problem.objective, "alike")


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "seeds", [range(300), pytest.param(range(300, 1000), marks=pytest.mark.slow)], ids=["", "more"]
)
def test_it_finds_the_best_and_the_quickest_of_the_best(objective, seeds, pipeline):
    infeasible = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        nodes, layers = int(rng.integers(1, 5)), int(rng.integers(1, 8))
        problem = pipeline(seed, nodes, layers, objective=objective, whole=seed % 2 == 0)
        problem = alike(problem, int(rng.integers(1, nodes + 1)))
        known, found = solve(problem, Enumerate()), solve(problem, SubsetDp())
        assert found.outcome == known.outcome, seed
        if known.outcome == "infeasible":
            infeasible += 1
            assert found.message
            continue
        assert found.objective == pytest.approx(known.objective, rel=1e-12, abs=0), seed
        quickest = problem.latency(known.decision)
        assert problem.latency(found.decision) <= quickest * (1 + 1e-12), seed
    assert len(seeds) / 7 < infeasible < len(seeds) * 4 / 7


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_numbers_of_any_size_are_taken(objective, pipeline):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        problem = pipeline(seed, 3, 6, objective=objective)
        sizes = 10.0 ** rng.uniform(-30, 30, problem.forward_s.shape)
        changes = {
            "forward_s": problem.forward_s * sizes,
            "backward_s": np.where(rng.random(sizes.shape) < 0.3, 0, problem.backward_s * sizes),
        }
        problem = PipelinePartition.from_data(problem.data() | changes, objective, "x")
        known, found = solve(problem, Enumerate()), solve(problem, SubsetDp())
        assert found.outcome == known.outcome
        if known.decision is not None:
            assert found.objective == pytest.approx(known.objective, rel=1e-12, abs=0)


def test_the_known_instance():
    problem = PipelinePartition(
        forward_s=[[2, 3, 1, 4, 2, 2], [4, 6, 2, 8, 4, 4]],
        backward_s=[[4, 6, 2, 9, 4, 3], [8, 12, 4, 18, 8, 6]],
        layer_memory_bytes=[1] * 6,
        node_memory_bytes=[100, 100],
        owners=1,
        objective="paper",
    )
    for objective in ("paper", "period"):
        result = solve(problem.with_objective(objective), SubsetDp())
        assert (result.outcome, result.objective, result.bound) == ("optimal", 30.0, 30.0)
        assert result.decision.assignment.tolist() == [1, 1, 0, 0, 0, 0]


def test_all_times_zero():
    problem = PipelinePartition(np.zeros((2, 3)), np.zeros((2, 3)), [1, 1, 1], [2, 2], 1)
    result = solve(problem, SubsetDp())
    assert (result.outcome, result.objective, result.bound) == ("optimal", 0.0, 0.0)


# --- a certificate that shares nothing with the solver ---------------------------------------


def exists(problem, allowed):
    """Whether a partition exists whose runs (node, start, stop) are all allowed.

    Sets of positions are bits of whole numbers, kept for every set of used nodes; every node is
    used. It knows no prefix sums, no kinds, no furthest positions.
    """
    nodes, layers = problem.nodes, problem.layers
    onward = [
        [sum(1 << b for b in range(a + 1, layers + 1) if allowed(k, a, b)) for a in range(layers)]
        for k in range(nodes)
    ]
    reached = [1] + [0] * (2**nodes - 1)
    for used in range(2**nodes):
        for k in range(nodes):
            if used >> k & 1:
                continue
            gained = 0
            for a in range(layers):
                if reached[used] >> a & 1:
                    gained |= onward[k][a]
            reached[used | 1 << k] |= gained
    return bool(reached[-1] >> layers & 1)


def segment_sums(table):
    """Every sum of neighbouring columns, added up directly: dictionary by (row, start, stop)."""
    rows, layers = table.shape
    return {
        (k, a, b): math.fsum(table[k, a:b])
        for k in range(rows)
        for a in range(layers)
        for b in range(a + 1, layers + 1)
    }


def draw_large(seed, nodes, layers, objective="period", batches=9):
    rng = np.random.default_rng(seed)
    memory = rng.uniform(1, 2, layers)
    return PipelinePartition(
        forward_s=rng.uniform(0.5, 2, (nodes, layers)),
        backward_s=rng.uniform(1, 4, (nodes, layers)),
        layer_memory_bytes=memory,
        node_memory_bytes=rng.uniform(1.1, 2.0, nodes) * memory.sum() / nodes,
        owners=1,
        objective=objective,
        batches=batches,
    )


@pytest.mark.parametrize("seed", range(3))
def test_no_partition_keeps_below_the_optimal_period(seed):
    problem = draw_large(seed, 5, 60, "period")
    result = solve(problem, SubsetDp())
    assert result.outcome == "optimal"
    times = segment_sums(problem.forward_s + problem.backward_s)
    memory = segment_sums(problem.layer_memory_bytes[None])

    def below(cap):
        return lambda k, a, b: (
            times[k, a, b] <= cap and memory[0, a, b] <= problem.node_memory_bytes[k]
        )

    assert exists(problem, below(result.objective * (1 + 1e-12)))
    assert not exists(problem, below(result.objective * (1 - 1e-12)))


@pytest.mark.parametrize("seed", range(3))
def test_no_pair_of_thresholds_below_the_optimum_admits_a_partition(seed):
    problem = draw_large(seed, 3, 16, "paper")
    result = solve(problem, SubsetDp())
    assert result.outcome == "optimal"
    forward, backward = segment_sums(problem.forward_s), segment_sums(problem.backward_s)
    memory = segment_sums(problem.layer_memory_bytes[None])

    def below(cap, second_cap):
        return lambda k, a, b: (
            forward[k, a, b] <= cap
            and backward[k, a, b] <= second_cap
            and memory[0, a, b] <= problem.node_memory_bytes[k]
        )

    better = result.objective * (1 - 1e-12)
    for cap in sorted(set(forward.values())):
        if cap < better:
            assert not exists(problem, below(cap, better - cap))
    reached = problem.load(result.decision)
    assert exists(problem, below(reached.forward_s.max(), reached.backward_s.max()))


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["period", "paper"])
def test_no_thresholds_below_the_optimum_of_a_larger_one(objective):
    problem = draw_large(7, 4 if objective == "paper" else 7, 22 if objective == "paper" else 90)
    problem = problem.with_objective(objective)
    result = solve(problem, SubsetDp())
    forward, backward = segment_sums(problem.forward_s), segment_sums(problem.backward_s)
    memory = segment_sums(problem.layer_memory_bytes[None])
    better = result.objective * (1 - 1e-12)

    def below(cap, second_cap, both):
        return lambda k, a, b: (
            forward[k, a, b] <= cap
            and backward[k, a, b] <= second_cap
            and forward[k, a, b] + backward[k, a, b] <= both
            and memory[0, a, b] <= problem.node_memory_bytes[k]
        )

    if objective == "period":
        assert not exists(problem, below(math.inf, math.inf, better))
        return
    for cap in sorted(set(forward.values())):
        if cap < better:
            assert not exists(problem, below(cap, better - cap, math.inf))


# --- other people's solvers ------------------------------------------------------------------


@pytest.mark.one_quick
@pytest.mark.parametrize("solver", ["highs", "scip"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_integer_programs_agree_on_medium_instances(solver, objective):
    problem = draw_large(11, 3, 14, objective)
    known, found = solve(problem, solver, time_limit_s=60), solve(problem, SubsetDp())
    assert known.gap < 1e-5
    assert found.objective == pytest.approx(known.objective, rel=1e-6)
    assert found.objective <= known.objective * (1 + 1e-12)
    assert known.bound <= found.objective * (1 + 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["highs", "scip"])
@pytest.mark.parametrize("seed", range(3))
def test_integer_programs_agree_on_larger_instances(solver, seed):
    for objective in OBJECTIVES:
        problem = draw_large(seed, 5, 20, objective)
        known, found = solve(problem, solver, time_limit_s=120), solve(problem, SubsetDp())
        assert known.bound <= found.objective * (1 + 1e-12)
        assert found.objective <= known.objective * (1 + 1e-12)
        assert known.gap < 1e-5


# --- the contract ----------------------------------------------------------------------------


def test_a_search_finds_infeasible_memory_and_says_how_many_owners_would_do():
    tight = PipelinePartition(
        np.ones((2, 3)), np.ones((2, 3)), [2, 3, 2], [4 * 10**3, 4 * 10**3], 10**3
    )
    assert tight.infeasibility() is None
    found = solve(tight, SubsetDp())
    assert found.outcome == "infeasible"
    words = "1.25 times the memory of every node, or at most 800 owners instead of 1,000 would do"
    assert words in found.message
    ones = np.ones((2, 3))
    one = PipelinePartition(ones, ones, [1, 1, 4], [4, 2], 1, order="given")
    words = "given order; 2 times the memory of every node, or another order (order: free) would do"
    assert words in solve(one, SubsetDp()).message


@pytest.mark.one_quick
@pytest.mark.parametrize("order", ["free", "given"])
def test_what_would_do_does(order, pipeline):
    """The factor of the message is enough, and a little less is not."""
    tried = 0
    for seed in range(120):
        problem = pipeline(seed, 3, 5, order=order, use_all_nodes=True)
        rng, total = np.random.default_rng(seed), problem.layer_memory_bytes.sum()
        tight = {"node_memory_bytes": rng.uniform(0.2, 0.6, 3) * total}
        problem = PipelinePartition.from_data(problem.data() | tight, "period", "x")
        result = solve(problem, SubsetDp())
        if problem.infeasibility() is not None or result.outcome != "infeasible":
            continue
        factor = float(result.message.split("; ")[1].split(" times")[0])
        for scale, outcome in ((factor, "optimal"), (factor - 0.0011, "infeasible")):
            scaled = {"node_memory_bytes": problem.node_memory_bytes * scale}
            again = PipelinePartition.from_data(problem.data() | scaled, "period", "x")
            assert solve(again, Enumerate()).outcome == outcome
        for words, change in (("order: free", "order"), ("use_all_nodes: f", "use_all_nodes")):
            other = {"order": "free"} if change == "order" else {"use_all_nodes": False}
            again = PipelinePartition.from_data(problem.data() | other, "period", "x")
            helps = solve(again, Enumerate()).outcome == "optimal"
            assert helps == (words in result.message)
        tried += 1
    assert tried > 10


def test_without_time_it_still_answers(pipeline):
    problem = pipeline(0, 4, 9, use_all_nodes=False, order="free")
    result = solve(problem, SubsetDp(), time_limit_s=0)
    assert (result.outcome, result.stop_reason) == ("feasible", "time")
    assert 0 < result.bound <= result.objective


def test_a_gap_that_is_asked_for_ends_the_search(pipeline):
    problem = draw_large(0, 5, 60, "paper")
    exact, rough = solve(problem, SubsetDp()), solve(problem, SubsetDp(), rel_gap=0.2)
    assert rough.iterations < exact.iterations
    assert rough.gap <= 0.2
    assert rough.bound <= exact.objective * (1 + 1e-12)


def test_ctrl_c_keeps_the_best_so_far(monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    problem = draw_large(0, 4, 20, "period")
    monkeypatch.setattr(Search, "stop", interrupt)
    result = solve(problem, SubsetDp())
    assert (result.outcome, result.stop_reason) == ("feasible", "interrupted")


def test_it_refuses_more_states_than_it_may_keep(pipeline):
    problem = pipeline(0, 6, 7, order="free")
    with pytest.raises(CapabilityError, match=r"keep 64 sets of used nodes, .* max_states = 63"):
        solve(problem, SubsetDp(max_states=63))
    alike_nodes = alike(problem, 6)
    assert SubsetDp(max_states=7).refusal(alike_nodes) is None
    with pytest.raises(InputError, match="max_states: is 0"):
        SubsetDp(max_states=0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_where_the_table_of_trips_is_too_large_it_says_what_stays_open(objective, monkeypatch):
    problem = draw_large(1, 5, 30, objective)
    exact = solve(problem, SubsetDp())
    monkeypatch.setattr(caps, "MOST_PLACES", 1)
    result = solve(problem, SubsetDp())
    assert "at this size" in result.message
    assert result.bound <= exact.objective * (1 + 1e-12) <= result.objective * (1 + 2e-12)
    if objective != "epoch":
        assert result.outcome == "optimal"
