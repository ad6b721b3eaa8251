"""Mixes of rented machines: all Pareto points, against every mix by every partition."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from splitopt import Scenario, plan, solve
from splitopt.errors import InfeasibleError, InputError
from splitopt.planning.pipelines import delay_cost_pareto, scenario_pareto
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.restrict import restricted
from splitopt.solvers.pipeline_partition.enumeration import Enumerate

ROOT = Path(__file__).parents[3]


def offer(seed, model="none", nodes=4, layers=6):
    """Draw machines of up to three types with prices, and a model to host."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, nodes)
    whole = seed % 2 == 0
    work = rng.integers(1, 6, layers) if whole else rng.uniform(1, 6, layers)
    speed, price = np.array([4.0, 2.0, 2.0])[kind], np.array([4.0, 2.0, 1.0])[kind]
    links = {"model": model}
    if model != "none":
        links["bandwidth_bytes_per_s"] = {
            "uniform": 2.0,
            "nic": speed,
            "pairwise": rng.uniform(1, 3, (nodes, nodes)),
        }[model]
    problem = PipelinePartition(
        work / speed[:, None],
        work / speed[:, None],
        rng.uniform(1, 2, layers),
        np.array([9.0, 6.0, 3.0])[kind],
        1,
        cut_up_bytes=rng.uniform(0, 2, layers + 1),
        cut_down_bytes=rng.uniform(0, 2, layers + 1),
        links=links,
        batches=int(rng.integers(1, 30)),
    )
    return problem, price


def by_hand(problem, price, other_s, sizes):
    """Compute delay and cost of every subset of machines, then those that none beats."""
    points = []
    for size in sizes:
        for some in itertools.combinations(range(problem.nodes), size):
            part = restricted(problem, some, objective="epoch", use_all_nodes=True)
            result = solve(part, Enumerate())
            if result.decision is not None:
                delay = result.objective + other_s
                points.append((delay, delay / 3600 * price[list(some)].sum()))
    slack = 1 - 1e-9
    kept = {
        (round(d, 9), round(c, 12))
        for d, c in points
        if not any((e <= d and f < c * slack) or (e < d * slack and f <= c) for e, f in points)
    }
    return sorted(kept)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["none", "uniform", "nic", "pairwise"])
def test_it_finds_all_points_and_no_other(model):
    several = 0
    for seed in range(8):
        problem, price = offer(seed, model)
        sizes = range(1, 5) if seed % 3 else (2,)
        wanted = by_hand(problem, price, 3.0, sizes)
        if not wanted:
            with pytest.raises(InfeasibleError, match="none of the"):
                delay_cost_pareto(problem, price, nodes=None if seed % 3 else 2, other_s=3.0)
            continue
        found = delay_cost_pareto(problem, price, nodes=None if seed % 3 else 2, other_s=3.0)
        assert len(found.points) == len(wanted)
        for point, (delay, cost) in zip(found.points, wanted, strict=True):
            assert point.delay_s == pytest.approx(delay, rel=1e-9)
            assert point.cost == pytest.approx(cost, rel=1e-9)
            check(problem, price, point)
        several += len(wanted) > 1
        assert found.solved <= found.mixes
    assert several >= 3


def check(problem, price, point):
    """See that the plan of a point keeps all constraints and has the delay and cost it claims."""
    assert set(point.decision.assignment.tolist()) == set(point.nodes)
    rented = restricted(problem, range(problem.nodes), objective="epoch", use_all_nodes=False)
    assert not rented.violations(point.decision)
    assert rented.evaluate(point.decision) + 3.0 == pytest.approx(point.delay_s, rel=1e-12)
    assert point.cost == pytest.approx(point.delay_s / 3600 * price[list(point.nodes)].sum())
    rest = point.latency_s + (problem.batches - 1) * point.period_s + 3.0
    assert rest == pytest.approx(point.delay_s, rel=1e-12)


def test_bounds_save_work():
    """Ten machines of two types; mixes that cannot be better are not solved."""
    work = np.random.default_rng(0).uniform(1, 2, 12)
    speed = np.repeat([4.0, 2.0], 5)
    problem = PipelinePartition(
        work / speed[:, None], work / speed[:, None], np.ones(12), np.full(10, 12.0), 1, batches=50
    )
    found = delay_cost_pareto(problem, 10 / speed)
    assert (found.mixes, len(found.points)) == (35, len(set(found.points)))
    assert found.solved < found.mixes
    delays, costs = zip(*((p.delay_s, p.cost) for p in found.points), strict=True)
    assert list(delays) == sorted(delays)
    assert list(costs) == sorted(costs, reverse=True)


def test_it_says_what_does_not_fit():
    problem, price = offer(1)
    with pytest.raises(InputError, match="price_per_hour"):
        delay_cost_pareto(problem, price[:2])
    with pytest.raises(InputError, match="nodes: is 9, there are 4"):
        delay_cost_pareto(problem, price, nodes=9)
    bare = restricted(problem, range(4), batches=None)
    with pytest.raises(InputError, match="batches: is missing"):
        delay_cost_pareto(bare, price)
    tiny = restricted(problem, range(4), node_memory_bytes=np.full(4, 0.5))
    with pytest.raises(InfeasibleError, match="offer machines with more memory"):
        delay_cost_pareto(tiny, price)


@pytest.mark.slow
def test_a_scenario_states_machines_and_prices():
    """The points are those of its tables, with the rounds that plans predict."""
    scenario = Scenario.load(ROOT / "examples" / "pipeline-vgg19.yaml")
    found = scenario_pareto(scenario)
    assert found.mixes == 8
    assert found.names == ("large-1", "large-2", "small-1", "small-2")
    problem = PipelinePartition.from_scenario(scenario)
    for point in found.points:
        part = restricted(problem, point.nodes, use_all_nodes=True)
        assert point.delay_s == solve(part).objective
    every = scenario.pipeline.model_copy(update={"use_all_nodes": True})
    whole = plan(scenario.model_copy(update={"pipeline": every})).prediction
    delays = [point.delay_s for point in found.points if len(point.nodes) == 4]
    assert delays in ([], [pytest.approx(whole["round_s"])])
    free = scenario.model_dump()
    free["nodes"][0]["price_per_hour"] = None
    with pytest.raises(InputError, match=r"large-1.*price_per_hour: is missing"):
        scenario_pareto(Scenario.model_validate(free))
