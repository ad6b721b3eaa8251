"""The least round: against brute force, an integer program, and its own parts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from splitopt import GraphPartition, InputError, solve
from splitopt.bench.instances.families.graph_partition import rounds
from splitopt.solvers.graph_partition.enumeration import count_partitions
from tests.solvers.graph_partition.drawing import drawn

OPTIONS = ({}, {"join": False}, {"dominance": False}, {"orders": 1})


def asked(seed: int, most: int = 7) -> GraphPartition:
    """Draw a graph with every option in some, and a round of a few micro-batches."""
    batches = int(np.random.default_rng(seed).integers(1, 9))
    return replace(drawn(seed, most), micro_batches=batches, objective="round")


def against_brute_force(seeds, most=2000):
    """Hold `ideals`, with and without what it leaves out, and `chains` against all partitions."""
    feasible = 0
    for seed in seeds:
        problem = asked(seed)
        if count_partitions(problem) > most:
            continue
        best = solve(problem, "enumerate")
        found = solve(problem, **OPTIONS[seed % len(OPTIONS)])
        assert found.outcome == best.outcome
        chains = solve(problem, "chains")
        if not best.is_feasible:
            continue
        feasible += 1
        assert found.objective == pytest.approx(best.objective, rel=1e-9, abs=1e-12)
        assert problem.bound() <= best.objective * (1 + 1e-12)
        assert chains.bound <= best.objective * (1 + 1e-12)
        assert not chains.is_feasible or chains.objective >= best.objective * (1 - 1e-12)
    return feasible


def test_small_graphs_have_the_round_of_brute_force():
    assert against_brute_force(range(20), 60) >= 8


@pytest.mark.slow
def test_many_small_graphs_have_the_round_of_brute_force():
    """Backward nodes, classes on circles, CPUs, tight memory, nodes for CPUs only, ties."""
    assert against_brute_force(range(100, 160)) >= 30


def test_the_objective_is_that_of_a_count_by_hand():
    """Four layers in a row on up to three machines: every way to cut, priced in plain Python."""
    work, cost = [2.0, 3.0, 1.0, 2.0], [0.5, 0.25, 0.5, 0.0]
    chain = GraphPartition(work, cost, [[0, 1], [1, 2], [2, 3]], 3, micro_batches=4)
    for batches in (1, 2, 4, 8, 40):
        periods = {1: batches, 2: batches + 1, 3: batches + 1 + min(2, (batches + 1) // 2)}
        values = []
        for parts in (1, 2, 3):
            for cuts in itertools.combinations((1, 2, 3), parts - 1):
                ends = [0, *cuts, 4]
                loads = [
                    sum(work[a:b]) + (cost[a - 1] if a else 0.0) + (cost[b - 1] if b < 4 else 0.0)
                    for a, b in itertools.pairwise(ends)
                ]
                values.append(periods[parts] * max(loads))
        problem = replace(chain, micro_batches=batches, objective="round")
        found = solve(problem)
        assert found.outcome == "optimal"
        assert found.objective == pytest.approx(min(values), rel=1e-9)


def test_a_long_layer_makes_a_third_machine_no_use():
    """The period is that of the long layer anyway; the round is shorter with fewer to fill."""
    chain = GraphPartition([9.0, 1.0, 1.0], [0.0] * 3, [[0, 1], [1, 2]], 3, micro_batches=6)
    least = solve(replace(chain, objective="round"))
    assert (least.objective, len(set(least.decision.device.tolist()))) == (7 * 9.0, 2)
    three = chain.decode({"device": [0, 1, 2]})
    assert chain.evaluate(three) == 9.0  # as good by its load
    assert replace(chain, objective="round").evaluate(three) == 9 * 9.0


def test_the_best_round_is_the_best_of_all_numbers_of_devices():
    """The least load of so many devices times their periods, by the solver of loads."""
    problem = replace(rounds(3, 20, 3), objective="round")
    values = []
    for accelerators, cpus in itertools.product((1, 2, 3), (0, 1)):
        part = replace(problem, accelerators=accelerators, cpus=cpus, objective="load")
        if (found := solve(part)).is_feasible:
            values.append(problem.periods(accelerators + cpus) * found.objective)
    assert solve(problem).objective == pytest.approx(min(values), rel=1e-9)


@pytest.mark.slow
def test_an_integer_program_finds_the_same_rounds():
    """HiGHS on graphs with all options; its bound is below what is proved."""
    for seed in range(200, 215):
        problem = asked(seed)
        found, other = solve(problem), solve(problem, "highs", time_limit_s=100)
        assert other.is_feasible == found.is_feasible
        if found.is_feasible:
            assert other.objective == pytest.approx(found.objective, rel=2e-6, abs=1e-6)
            assert other.bound <= found.objective * (1 + 1e-9) + 1e-12


def test_what_ends_early_has_a_bound_that_holds():
    """After a few pairs of ideals, and where there are too many ideals."""
    problem = replace(rounds(1, 40, 4), objective="round")
    best = solve(problem)
    assert best.outcome == "optimal"
    for options in ({"max_pairs": 1}, {"max_ideals": 5}):
        early = solve(problem, orders=1, **options)
        assert early.outcome == "feasible"
        assert early.message is not None
        assert early.bound <= best.objective * (1 + 1e-12) <= early.objective * (1 + 2e-12)


def test_a_round_without_micro_batches_is_refused():
    chain = GraphPartition([1, 2], [0, 0], [[0, 1]], 2)
    assert chain.askable == ("load",)
    with pytest.raises(InputError, match="micro_batches: is missing, and the objective is a round"):
        chain.with_objective("round")
    for wrong, words in ((0, "must be"), (2.5, "whole number"), (2_000_000_000, "at most")):
        with pytest.raises(InputError, match=f"micro_batches: .*{words}"):
            replace(chain, micro_batches=wrong)
    asked_for = replace(chain, micro_batches=3)
    assert asked_for.askable == ("load", "round")
    again = GraphPartition.from_data(asked_for.data(), "round")
    assert again == asked_for.with_objective("round")
    assert "micro_batches" not in chain.data()
