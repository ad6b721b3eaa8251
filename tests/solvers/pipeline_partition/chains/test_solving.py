"""The exact search with links, against all chains there are and against other methods."""

from __future__ import annotations

import math
from dataclasses import replace

import numba
import numpy as np
import pytest

from splitopt.errors import InfeasibleError
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.solvers.base import Search
from splitopt.solvers.pipeline_partition.chains.search import ChainSearch
from splitopt.solvers.pipeline_partition.chains.solving import solve_chains

MODELS = ("none", "uniform", "pairwise", "nic", "serial")
TIE = 1 + 1e-12


def run(problem, **limits):
    """Return the search after a run, None if the problem is infeasible."""
    search = Search(problem, limits.get("time_limit_s"), limits.get("rel_gap", 1e-9), 0)
    try:
        reason = solve_chains(problem, search)
    except InfeasibleError:
        return None
    assert reason == "proved"
    assert search.best is not None
    return search


def check(problem, values):
    """Compare period, latency, latency under looser caps, and epoch with all chains."""
    found = run(replace(problem, objective="period"))
    if len(values) == 0:
        assert found is None
        assert run(replace(problem, objective="epoch")) is None
        return 1
    periods, latencies = values.T
    least = periods.min()
    assert found.objective == pytest.approx(least, rel=1e-12, abs=0)
    assert found.bound == pytest.approx(least, rel=1e-12, abs=0)
    quickest = latencies[periods <= least * TIE].min()
    assert problem.latency(found.best) == pytest.approx(quickest, rel=1e-12)
    search = ChainSearch(problem)
    for cap in (least * 1.2000037, search.largest_period_s):
        seen = search.least_trip(cap)
        assert problem.load(seen.decision).period_s <= cap * TIE
        quickest = latencies[periods <= cap].min()
        assert problem.latency(seen.decision) == pytest.approx(quickest, rel=1e-12)
        assert seen.latency_s + problem.owner_transfers_s == pytest.approx(quickest, rel=1e-12)
    found = run(replace(problem, objective="epoch"))
    epoch = (latencies + (problem.batches - 1) * periods).min()
    assert found.objective == pytest.approx(epoch, rel=1e-12)
    assert found.bound == pytest.approx(epoch, rel=1e-12)
    return 0


@pytest.mark.one_quick
@pytest.mark.parametrize("use_all_nodes", [True, False], ids=["all", "idle"])
@pytest.mark.parametrize("order", ["free", "given"])
@pytest.mark.parametrize("duplex", ["full", "half"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("instances", "most"),
    [(30, 20), pytest.param(80, 39, marks=pytest.mark.slow)],
    ids=["", "more"],
)
def test_it_finds_what_all_chains_show(
    model, duplex, order, use_all_nodes, instances, most, linked, chains_of_all
):
    """4,400 instances in all: floats, ties, alike nodes, zero bytes, missing links, no answer."""
    rng = np.random.default_rng(MODELS.index(model) * 100 + len(order) * 10 + use_all_nodes)
    none = 0
    for _ in range(instances):
        problem = linked(rng, model, duplex, order, use_all_nodes)
        none += check(problem, chains_of_all(problem))
    assert none <= most  # the others are checked against all chains


@pytest.mark.one_quick
@pytest.mark.parametrize("model", MODELS)
def test_more_nodes_than_layers_can_use(model, linked, chains_of_all):
    """Five and six nodes, of which some are alike."""
    rng = np.random.default_rng(7)
    for _ in range(6):
        problem = linked(rng, model, order="free", use_all_nodes=rng.random() < 0.5, most=6)
        check(problem, chains_of_all(problem))


@pytest.mark.slow
def test_a_layer_that_is_slow_elsewhere_costs_no_digits(linked, chains_of_all):
    """Sums stay exact beside layers that are 1e15 times slower on another node."""
    rng = np.random.default_rng(3)
    for model in MODELS:
        for _ in range(10):
            problem = linked(rng, model, use_all_nodes=False)
            forward = problem.forward_s.copy()
            forward[rng.random(forward.shape) < 0.3] *= 1e15
            problem = replace(problem, forward_s=forward)
            check(problem, chains_of_all(problem))


@numba.njit(cache=True)
def bottleneck(work, up, down, rates, half):
    """Compute the least period of any chain by a table of least maxima, for links of pairs.

    Shares nothing with the search under test: no caps, no sets, no windows.
    """
    nodes, layers = work.shape
    sums = np.zeros((nodes, layers + 1))
    for i in range(nodes):
        for c in range(layers):
            sums[i, c + 1] = sums[i, c] + work[i, c]
    best = np.full((1 << nodes, nodes, layers + 1), np.inf)
    for used in range(1, 1 << nodes):
        for last in range(nodes):
            if not used >> last & 1:
                continue
            before = used & ~(1 << last)
            for start in range(layers):
                reached = np.inf
                if before == 0:
                    reached = 0.0 if start == 0 else np.inf
                for previous in range(nodes):
                    if before >> previous & 1 and start > 0:
                        there, back = up[start] / rates[previous, last], 0.0
                        back = down[start] / rates[last, previous]
                        busy = there + back if half else max(there, back)
                        reached = min(reached, max(busy, best[before, previous, start]))
                if reached == np.inf:
                    continue
                for end in range(start + 1, layers + 1):
                    value = max(reached, sums[last, end] - sums[last, start])
                    best[used, last, end] = min(best[used, last, end], value)
    return best[:, :, layers]


@pytest.mark.parametrize("half", [False, True], ids=["full", "half"])
def test_a_table_of_least_maxima_agrees(half):
    """Six different nodes, sixty layers, a matrix of rates: far beyond enumeration."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        speed = rng.uniform(1, 4, 6)
        work = rng.lognormal(0, 1, 60) / speed[:, None]
        up, down = rng.lognormal(0, 1, (2, 61))
        rates = rng.lognormal(-1, 1, (6, 6))
        table = bottleneck(work, up, down, rates, half)
        links = {
            "model": "pairwise",
            "bandwidth_bytes_per_s": rates,
            "duplex": "half" if half else "full",
        }
        for every, wanted in ((True, table[-1].min()), (False, table.min())):
            problem = PipelinePartition(
                work, 0 * work, np.ones(60), np.full(6, 60.0), 1, "period", up, down, links
            )
            problem = replace(problem, use_all_nodes=every)
            found = run(problem)
            assert found.objective == pytest.approx(wanted, rel=1e-12)
            assert found.bound == pytest.approx(wanted, rel=1e-12)


def test_python_and_machine_code_agree_bit_for_bit(linked, monkeypatch):
    """The loops as Python runs them, all of them, against the compiled ones."""
    from splitopt.solvers.pipeline_partition.chains import loops, search

    rng = np.random.default_rng(11)
    for model in MODELS:
        for half in ("full", "half"):
            problem = linked(rng, model, half, most=4, layers=7)
            answers = []
            for version in (loops.plain_loops(), loops.compiled_loops()):
                monkeypatch.setattr(search, "loops_for", lambda steps, v=version: v)
                names = ("period", "epoch", "paper") if model == "none" else ("period", "epoch")
                found = [run(replace(problem, objective=name)) for name in names]
                answers.append(
                    [
                        None if s is None else (s.objective, s.bound, s.best.assignment.tolist())
                        for s in found
                    ]
                )
            assert answers[0] == answers[1]


def test_small_work_is_left_to_python():
    """What runs depends on the problem alone, and not on what the process did before."""
    from splitopt.solvers.pipeline_partition.chains import loops

    for _ in range(2):
        assert loops.loops_for(1000) is loops.plain_loops()
        assert loops.loops_for(10**9) is loops.compiled_loops()
        assert ChainSearch(large()).loops is loops.compiled_loops()
        ones = np.ones((2, 5))
        small = PipelinePartition(ones, ones, np.ones(5), np.full(2, 5.0), 1)
        assert ChainSearch(small).loops is loops.plain_loops()


def test_without_time_it_still_answers(monkeypatch):
    """The last test of a run that has to end is of the largest cap."""
    from splitopt.solvers.pipeline_partition.chains import search as module

    monkeypatch.setattr(module, "_SLICE", 1.0)
    problem = large()
    search = Search(problem, 0.0, 1e-9, 0)
    assert solve_chains(problem, search) == "time"
    assert math.isfinite(search.objective)
    assert 0 < search.bound <= search.objective


def test_a_looser_gap_stops_earlier(monkeypatch):
    """The decision at hand is given as soon as its gap is small enough."""
    from splitopt.solvers.pipeline_partition.chains import search as module

    monkeypatch.setattr(module, "_SLICE", 1.0)
    problem = large()
    exact, loose = Search(problem, None, 1e-9, 0), Search(problem, None, 0.5, 0)
    assert solve_chains(problem, exact) == "proved"
    assert solve_chains(problem, loose) == "gap"
    assert 1e-9 < loose.gap <= 0.5
    assert loose.bound <= exact.objective <= loose.objective


def large():
    """Eight different nodes with a matrix of rates, 200 layers."""
    rng = np.random.default_rng(5)
    return PipelinePartition(
        rng.uniform(1, 2, (8, 200)),
        rng.uniform(1, 2, (8, 200)),
        np.ones(200),
        np.full(8, 60.0),
        1,
        cut_up_bytes=rng.uniform(0, 1, 201),
        cut_down_bytes=rng.uniform(0, 1, 201),
        links={"model": "pairwise", "bandwidth_bytes_per_s": rng.uniform(0.01, 1, (8, 8))},
    )


def test_the_message_names_what_stands_in_the_way():
    """Links, memory, order and idle nodes each have words of their own."""
    ones = np.ones((3, 3))
    cuts = np.ones(4)

    def why(rates, room, **changes):
        problem = PipelinePartition(
            ones, ones, np.ones(3), np.array(room), 2, "period", cuts, cuts,
            {"model": "pairwise", "bandwidth_bytes_per_s": np.array(rates)}, **changes,
        )  # fmt: skip
        with pytest.raises(InfeasibleError) as caught:
            solve_chains(problem, Search(problem, None, 1e-9, 0))
        return str(caught.value)

    text = why(np.zeros((3, 3)), [9.0, 9.0, 9.0])
    assert "6 of 6 pairs have none" in text
    assert "a bandwidth above 0 for more pairs, or idle nodes (use_all_nodes: false)" in text
    lopsided = [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    text = why(lopsided, [9.0, 9.0, 9.0], order="given")
    assert "another order (order: free)" in text
    text = why(np.ones((3, 3)), [3.0, 3.0, 1.5], use_all_nodes=False)
    words = "no partition of the 3 layers into neighbouring runs fits the memory of the 3 nodes"
    assert words in text
    assert text.endswith(
        "; 1.334 times the memory of every node, or at most 1 owner instead of 2 would do"
    )
