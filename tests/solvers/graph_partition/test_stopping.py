"""`ideals` when it must end early, and what it then still claims; its options."""

from __future__ import annotations

import math

import numpy as np
import pytest

from splitopt import GraphPartition, InputError, solve
from splitopt.bench.instances.families.graph_partition import (
    BENCHMARK,
    branches,
    memory,
    towers,
)
from splitopt.solvers.graph_partition.ideals import ByIdeals


@pytest.fixture(scope="module")
def graph():
    """Return a graph with a few thousand ideals, and its optimum."""
    problem = towers(0, 40, 4)
    found = solve(problem)
    assert found.outcome == "optimal"
    return problem, found.objective


@pytest.mark.parametrize("options", [{"max_ideals": 100}, {"max_pairs": 100}])
def test_at_a_limit_it_stops_with_a_plan_and_a_true_bound(graph, options):
    problem, optimum = graph
    found = solve(problem, **options)
    assert (found.outcome, found.stop_reason) == ("feasible", "iterations")
    assert found.bound <= optimum <= found.objective
    assert 0 < found.gap < 0.5
    (name,) = options
    assert f"raise {name}" in found.message


def test_without_time_there_is_a_plan_and_a_bound(graph):
    problem, optimum = graph
    found = solve(problem, time_limit_s=0)
    assert (found.outcome, found.stop_reason) == ("feasible", "time")
    assert found.bound <= optimum <= found.objective


def test_a_callback_sees_the_gap_close_and_can_stop(graph):
    problem, optimum = graph
    seen = []
    solve(problem, callback=lambda progress: seen.append(progress))
    objectives, bounds = [p.objective for p in seen], [p.bound for p in seen]
    assert objectives == sorted(objectives, reverse=True)
    assert bounds == sorted(bounds)
    assert objectives[-1] == optimum
    stopped = solve(problem, callback=lambda progress: math.isfinite(progress.objective))
    assert stopped.stop_reason == "interrupted"
    assert stopped.bound <= optimum <= stopped.objective


def test_an_error_of_the_callback_is_raised(graph):
    def fail(progress):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        solve(graph[0], callback=fail)


def test_a_gap_that_is_allowed_ends_it(graph):
    found = solve(graph[0], rel_gap=0.2)
    assert found.stop_reason == "gap"
    assert found.gap <= 0.2


@pytest.mark.parametrize("solver", ["ideals", "chains"])
def test_the_same_seed_gives_the_same_answer(solver):
    problem = branches(3, 40, 5)
    one, two = (solve(problem, solver, seed=4).to_dict() for _ in range(2))
    for name in ("objective", "bound", "decision", "iterations", "details"):
        assert one[name] == two[name]


def test_chains_say_when_memory_leaves_them_without_an_answer():
    """Only one cut fits the memory, and no order that is tried has it."""
    sizes = [3.0, 1.0, 3.0, 1.0, 2.0, 2.0]  # two accelerators of six: 3 + 3 and 1 + 1 + 2 + 2
    problem = GraphPartition(
        [1.0] * 6, [0.0] * 6, [], 2, memory_bytes=sizes, accelerator_memory_bytes=6.0
    )
    found = solve(problem, "chains", orders=1)
    exact = solve(problem)
    assert exact.objective == solve(problem, "enumerate").objective
    if not found.is_feasible:
        assert "another one may, which 'ideals' finds out" in found.message


def test_nothing_fits_and_it_takes_a_search_to_know():
    """Three nodes of two bytes and two accelerators of three: five bytes would be enough."""
    problem = GraphPartition(
        [1.0] * 3, [0.0] * 3, [], 2, memory_bytes=[2.0] * 3, accelerator_memory_bytes=3.0
    )
    assert problem.infeasibility() is None
    for solver in ("ideals", "enumerate", "highs"):
        found = solve(problem, solver)
        assert (found.outcome, found.stop_reason) == ("infeasible", "proved")
        assert "memory of the accelerators" in found.message
    assert solve(problem, "chains").outcome == "no_solution"


@pytest.mark.parametrize("name", ["orders", "max_ideals", "max_pairs"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "many"])
def test_wrong_options_are_named(name, value):
    with pytest.raises(InputError, match=name):
        ByIdeals(**{name: value})


def test_times_of_any_size_are_proved():
    """Units from nanoseconds to years, and costs far above all loads that count."""
    base = branches(4, 18, 3)
    optimum = solve(base).objective
    for unit in (1e-12, 1e12, 1e150):
        scaled = GraphPartition(
            base.accelerator_s * unit,
            base.output_s * unit,
            base.edges,
            base.accelerators,
            1,
            base.cpu_s * unit,
        )
        found = solve(scaled)
        assert found.outcome == "optimal"
        assert found.objective == pytest.approx(optimum * unit, rel=1e-9)
    dear = base.output_s.copy()
    dear[3] = 1e9
    costly = GraphPartition(base.accelerator_s, dear, base.edges, 3, 1, base.cpu_s)
    whole = np.where(np.arange(18) == 3, 1e9, 0) + base.accelerator_s
    assert solve(costly).outcome == "optimal"
    assert solve(costly).objective < whole.max()


def test_no_time_at_all_is_proved():
    found = solve(GraphPartition([0.0] * 3, [0.0] * 3, [[0, 1]], 2))
    assert (found.outcome, found.objective, found.bound) == ("optimal", 0.0, 0.0)


def test_more_devices_than_nodes():
    found = solve(GraphPartition([3.0, 1.0], [0.0, 0.0], [[0, 1]], 900, 700, [9.0, 9.0]))
    assert (found.outcome, found.objective) == ("optimal", 3.0)
    with_host = solve(GraphPartition([3.0, 1.0], [0.0, 0.0], [[0, 1]], 900, 700, [2.0, 9.0]))
    assert with_host.objective == 2.0
    assert with_host.decision.device[0] >= 900


def test_progress_is_counted():
    found = solve(memory(0, 20, 3))
    assert found.details["ideals"] >= found.details["groups"] + 1
    assert found.details["pairs"] > 0
    assert found.details["states"] >= found.details["dominated"]


def test_a_plan_to_start_from_is_used(graph):
    """Without time it is the answer if it is better than the quick ones; a bad one does no harm."""
    problem, optimum = graph
    known = solve(problem).decision
    assert solve(problem, start=known, time_limit_s=0).objective == optimum
    everything = problem.complete(np.zeros(problem.nodes, dtype=np.int64))
    assert solve(problem, start=everything).objective == optimum


@pytest.mark.slow
def test_large_graphs_have_a_plan_and_a_bound_in_little_time():
    """Fifty thousand layers: no table of pairs of positions is filled before there is a plan."""
    problem = BENCHMARK.families["residual"](seed=0, nodes=50_000, accelerators=8)
    found = solve(problem, time_limit_s=10)
    assert found.outcome == "feasible"
    assert found.gap < 0.2
    assert found.times.total_s < 30


@pytest.mark.slow
def test_thousands_of_devices_do_not_fill_the_memory():
    count = 2_000
    edges = np.stack((np.arange(count - 1), np.arange(1, count)), axis=1)
    chain = GraphPartition(
        np.ones(count), np.ones(count), edges, 1000, cpus=1000, cpu_s=np.ones(count) * 3
    )
    found = solve(chain, time_limit_s=0.2)
    assert found.is_feasible
    assert found.bound <= found.objective
