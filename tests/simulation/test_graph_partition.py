"""Replays of graph plans: any placement that is allowed, from arrays, workloads and scenarios."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import splitopt
from splitopt import GraphPartition, InputError, solve
from splitopt.bench.instances.benchmark import Recipe, find_benchmark
from splitopt.latency.graph_pipeline import PHASES, most_periods
from splitopt.simulation import simulate_decision

WORKLOADS = Path(splitopt.__file__).parent / "bench/instances/workloads/dnn_partitioning"
FAMILIES = (
    "branches",
    "towers",
    "training",
    "host_only",
    pytest.param("orphans", marks=pytest.mark.slow),
)


def held(problem, decision, replay):
    """Check a replay against the loads, which are computed from the problem's arrays alone."""
    loads, timeline = problem.loads(decision), replay.timeline
    period, used = loads.max(), len(np.unique(decision.device))
    batches = int(timeline.batch.max()) + 1
    assert batches * period <= replay.simulated_s * (1 + 1e-9)
    assert replay.simulated_s <= most_periods(used, batches) * period * (1 + 1e-9)
    assert timeline.overloads() == {}
    busy = {usage.resource.name: usage.busy_s for usage in timeline.usage}
    for device, load in enumerate(loads):
        kind, number = ("accelerator", device) if device < problem.accelerators else ("CPU", device)
        number -= problem.accelerators * (kind == "CPU")
        assert busy.get(f"{kind} {number}", 0.0) == pytest.approx(batches * load)


@pytest.mark.one_quick
@pytest.mark.parametrize("family", FAMILIES)
def test_the_period_of_any_family_is_reached(family):
    """Forward and backward nodes, CPUs, classes: a round lies between its two bounds."""
    problem = find_benchmark("graph_partition").draw(
        Recipe(family, {"nodes": 6, "accelerators": 3})
    )
    decision = solve(problem, "enumerate").decision
    held(problem, decision, simulate_decision(problem, decision))


def test_a_round_of_a_problem_has_its_micro_batches_and_ends_within_its_objective():
    """As many as it states, and the second of the forecasts is what it was planned for."""
    chain = GraphPartition(
        [1, 2, 3], [0.5, 0.5, 0], [[0, 1], [1, 2]], 2, micro_batches=5, objective="round"
    )
    decision = solve(chain).decision
    replay = simulate_decision(chain, decision)
    held(chain, decision, replay)
    assert "5 micro-batches" in replay.span
    assert replay.forecasts[1].seconds == pytest.approx(chain.evaluate(decision))


@pytest.mark.slow
def test_a_public_workload_is_replayed():
    """GNMT without a scenario: nodes are those of the file."""
    problem = GraphPartition.read(WORKLOADS / "gnmt_inference.json")
    decision = solve(problem).decision
    replay = simulate_decision(problem, decision)
    held(problem, decision, replay)
    assert {task.phase for task in replay.timeline} <= {*PHASES[:3]}


def test_noise_stretches_and_circles_are_refused():
    """The same seed gives the same round; a placement that flows back is no plan."""
    chain = GraphPartition([1, 2, 3], [0.5, 0.5, 0], [[0, 1], [1, 2]], 2)
    decision = solve(chain).decision
    one, two = (simulate_decision(chain, decision, noise=0.2, seed=3) for _ in range(2))
    assert one.simulated_s == two.simulated_s
    assert one.simulated_s != simulate_decision(chain, decision).simulated_s
    with pytest.raises(InputError, match="the decision is not feasible: circular_devices"):
        simulate_decision(chain, {"device": [0, 1, 0]})
