"""The solvers of `GraphPartition` against brute force, a naive program, and an integer program."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splitopt import GraphPartition, solve
from splitopt.bench.instances.families.graph_partition import branches, layered, memory, towers
from splitopt.bench.instances.library.graph_partition import WORKLOADS
from splitopt.problems.compiling import plain
from splitopt.problems.graph_partition.program import partition_program, program_size
from splitopt.solvers.graph_partition.chain_loops import INFINITE, bottleneck
from splitopt.solvers.graph_partition.chains import topological_orders
from splitopt.solvers.graph_partition.enumeration import count_partitions
from splitopt.solvers.graph_partition.groups import groups_of
from splitopt.solvers.graph_partition.listing import list_all
from tests.solvers.graph_partition.drawing import drawn

ROOT = Path(__file__).parents[3]
OPTIONS = ({}, {"join": False}, {"dominance": False}, {"orders": 1})
KNOWN = {
    "bert24_training": (41.745812, 41.745812),
    "gnmt_inference": (32.910658, 32.910658),
    "inceptionv3_inference": (51.551864, 52.201632),
}
"""Optima of the shipped workloads with and without their CPU, by another implementation."""


@pytest.fixture(scope="module")
def checking():
    """Yield the checks that know the workload file alone, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.graphs.checking")


def document_of(problem: GraphPartition) -> dict:
    """Write a problem as a workload of dnn-partitioning; ids start at 10."""
    nodes = [
        {
            "id": 10 + v,
            "supportedOnFpga": not problem.cpu_only[v],
            "cpuLatency": float(problem.cpu_s[v]),
            "fpgaLatency": float(problem.accelerator_s[v]),
            "isBackwardNode": int(problem.backward[v]),
            "size": float(problem.memory_bytes[v]),
        }
        for v in range(problem.nodes)
    ]
    for node, colour in zip(nodes, problem.colour_classes.tolist(), strict=True):
        if colour >= 0:
            node["colorClass"] = colour
    edges = [
        {"sourceId": 10 + a, "destId": 10 + b, "cost": float(problem.output_s[a])}
        for a, b in problem.edges.tolist()
    ]
    limit = problem.accelerator_memory_bytes
    return {
        "maxSizePerFPGA": 1e12 if limit is None else limit,
        "maxFPGAs": problem.accelerators,
        "maxCPUs": problem.cpus,
        "nodes": nodes,
        "edges": edges,
    }


def compare(problem: GraphPartition, optimum: float | None, **options: object) -> None:
    """Hold `ideals` against a known optimum, None where nothing fits."""
    found = solve(problem, "ideals", **options)
    if optimum is None:
        assert found.outcome == "infeasible"
        return
    assert found.outcome == "optimal"
    assert found.objective == pytest.approx(optimum, rel=1e-9, abs=1e-12)
    assert found.bound <= optimum * (1 + 1e-12)
    assert problem.violations(found.decision) == {}


def against_brute_force(seed: int, most: int) -> str:
    """Hold every setting against the solver that tries everything; give the outcome."""
    problem = drawn(seed, most)
    if count_partitions(problem) > 60_000:
        problem = drawn(seed, 4)
    known = solve(problem, "enumerate")
    optimum = known.objective if known.is_feasible else None
    for options in OPTIONS:
        compare(problem, optimum, **options)
    chains = solve(problem, "chains")
    if optimum is not None:
        assert problem.bound() <= optimum * (1 + 1e-12)
        assert chains.objective >= optimum * (1 - 1e-12)
    return known.outcome


@pytest.mark.parametrize("seed", range(24))
def test_brute_force_finds_the_same(seed):
    """Ties, orphans, circles of classes, tight memory, CPUs or none."""
    against_brute_force(seed, 5)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_brute_force_finds_the_same_on_hundreds(part):
    outcomes = [against_brute_force(seed, 7) for seed in range(100 + 20 * part, 120 + 20 * part)]
    assert "optimal" in outcomes


def test_the_drawn_graphs_have_every_kind():
    """The checks above are about graphs of all kinds."""
    graphs = [drawn(seed) for seed in range(60)]
    kinds = {
        "orphans": [bool((g.order[:, 0] > g.order[:, 1]).any()) for g in graphs],
        "circles": [groups_of(g, join=False).count < g.classes.max() + 1 for g in graphs],
        "joined": [groups_of(g).count < groups_of(g, join=False).count for g in graphs],
        "no CPU": [g.cpus == 0 for g in graphs],
        "two CPUs": [g.cpus == 2 for g in graphs],
        "host only": [bool(g.cpu_only.any()) for g in graphs],
        "memory": [g.accelerator_memory_bytes is not None for g in graphs],
        "zero": [bool((g.accelerator_s == 0).all()) for g in graphs],
        "no edges": [len(g.edges) == 0 for g in graphs],
    }
    assert {name: any(values) for name, values in kinds.items()} == dict.fromkeys(kinds, True)
    assert sum(solve(g, orders=1).outcome == "infeasible" for g in graphs) >= 3


@pytest.mark.parametrize("seed", range(200, 212))
def test_a_naive_program_over_all_pairs_of_ideals_finds_the_same(checking, seed):
    """It reads the workload file and shares nothing with the package."""
    problem = drawn(seed, 7)
    document = document_of(problem)
    compare(problem, checking.naive_optimum(document))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_the_naive_program_finds_the_same_on_larger_graphs(checking, part):
    done = 0
    for seed in range(1000 + 20 * part, 1020 + 20 * part):
        problem = drawn(seed, 11)
        try:
            optimum = checking.naive_optimum(document_of(problem), 120)
        except checking.TooManyIdealsError:
            continue
        compare(problem, optimum)
        done += 1
    assert done >= 10


@pytest.mark.parametrize("seed", range(300, 306))
def test_a_workload_file_is_the_same_problem(tmp_path, checking, seed):
    """Written as a workload and read again: the same loads, priced from the file as well."""
    problem = drawn(seed)
    document = document_of(problem)
    path = tmp_path / "work.json"
    path.write_text(json.dumps(document))
    again, rng = GraphPartition.read(path), np.random.default_rng(seed)
    for _ in range(20):
        device = rng.integers(0, problem.devices, problem.nodes)
        one, two = (p.decode({"device": device}) for p in (problem, again))
        devices = {10 + v: int(d) for v, d in enumerate(device)}
        loads = checking.device_loads(document, devices)
        expected = [loads.get(d, 0.0) for d in range(problem.devices)]
        assert problem.loads(one) == pytest.approx(expected)
        assert again.loads(two) == pytest.approx(expected)
        broken = problem.violations(one)
        assert sorted(broken) == sorted(again.violations(two))
        assert bool(broken) == bool(checking.faults(document, devices))


@pytest.mark.parametrize("seed", range(400, 404))
def test_an_integer_program_finds_the_same(seed):
    against_program(drawn(seed, 5))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(404, 440))
def test_an_integer_program_finds_the_same_on_more(seed):
    against_program(drawn(seed, 8))


@pytest.mark.slow
@pytest.mark.parametrize(
    "problem",
    [branches(1, 14, 3), layered(1, 14, 3), memory(1, 14, 3), branches(2, 16, 3, 0)],
    ids=["branches", "layered", "memory", "no CPU"],
)
def test_an_integer_program_finds_the_same_on_medium_graphs(problem):
    against_program(problem)


def test_the_size_of_a_program_is_counted_before_it_is_built():
    """Not too small for any option, and exact for variables where accelerators take all nodes."""
    for seed in range(80):
        problem = drawn(seed % 60)
        if seed >= 60:
            problem = replace(problem, micro_batches=4, objective="round")
        counted, built = program_size(problem), partition_program(problem, 1.0)
        variables = len(built.binary) + len(built.real)
        rows = sum(len(part) for part in built.rows.values())
        assert variables <= counted.variables
        assert rows <= counted.linear_constraints
        if not problem.cpu_only.any():
            assert variables == counted.variables


def against_program(problem: GraphPartition) -> None:
    """Hold `ideals` against HiGHS."""
    found, other = solve(problem), solve(problem, "highs", time_limit_s=100)
    assert other.is_feasible == found.is_feasible
    if found.is_feasible:
        assert other.objective == pytest.approx(found.objective, rel=1e-6, abs=1e-6)
        assert other.bound <= found.objective * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("name", KNOWN)
def test_public_workloads_have_their_published_optima(checking, name):
    """With the CPU and without, and priced from the file."""
    path = WORKLOADS / f"{name}.json"
    document = json.loads(path.read_text())
    problem = GraphPartition.read(path)
    for cpus, optimum in zip((1, 0), KNOWN[name], strict=True):
        found = solve(replace(problem, cpus=cpus))
        assert found.outcome == "optimal"
        assert found.objective == pytest.approx(optimum, abs=1e-6)
        device = found.decision.device.tolist()
        devices = {n["id"]: d for n, d in zip(document["nodes"], device, strict=True)}
        loads = checking.device_loads(document, devices)
        assert max(loads.values()) == pytest.approx(found.objective, rel=1e-12)
        assert checking.faults(document, devices) == []


def test_a_cpu_makes_less_of_the_whole_work_than_accelerators_could_share():
    """The optimum of Inception-v3 with its CPU is below all work over six accelerators."""
    problem = GraphPartition.read(WORKLOADS / "inceptionv3_inference.json")
    shared = problem.accelerator_s.sum() / problem.accelerators
    assert problem.bound() < KNOWN["inceptionv3_inference"][0] < shared


@pytest.mark.slow
def test_the_naive_program_proves_a_public_workload_again(checking):
    document = json.loads((WORKLOADS / "bert24_training.json").read_text())
    assert checking.naive_optimum(document) == pytest.approx(41.745812, abs=1e-6)


def test_tight_memory_keeps_idle_leaves_apart():
    """The idle leaf does not fit beside the node that feeds it: 6 + .5 by hand, with two cuts."""
    problem = GraphPartition(
        [6.0, 5.0, 0.0],
        [0.5, 0.0, 0.0],
        [[0, 1], [0, 2]],
        2,
        memory_bytes=[2.0, 1.0, 2.0],
        accelerator_memory_bytes=3.0,
    )
    assert solve(problem).objective == 6.5
    assert solve(replace(problem, accelerator_memory_bytes=None)).objective == 6.5
    roomy = replace(problem, accelerator_memory_bytes=5.0)
    assert groups_of(problem).count == 3
    assert groups_of(roomy).count == 2
    assert solve(roomy).objective == 6.5


def test_ideals_are_all_there():
    """Three towers of 2, 3 and 3 layers between two ends: 3 x 4 x 4 ideals and two more."""
    groups = groups_of(towers(0, 10, 2), join=False)
    ideals = list_all(groups, groups.work_s, 10**6, lambda: False)
    assert ideals.count == 3 * 4 * 4 + 2
    assert len(np.unique(ideals.words, axis=0)) == ideals.count
    assert list_all(groups, groups.work_s, 49, lambda: False) is None


def test_ideals_of_many_groups_are_kept_in_several_words():
    """200 groups take four words; a chain has one ideal more than groups."""
    count = 200
    chain = GraphPartition([1.0] * count, [1.0] * count, [[v, v + 1] for v in range(count - 1)], 4)
    groups = groups_of(chain)
    ideals = list_all(groups, groups.work_s, 10**6, lambda: False)
    assert (ideals.count, ideals.words.shape[1]) == (201, 4)
    assert solve(chain).objective == 50 + 2


def test_orders_follow_the_arcs_and_differ():
    groups = groups_of(layered(0, 20, 3), join=False)
    orders = list(topological_orders(groups, np.random.default_rng(0), 12))
    for order in orders:
        place = np.argsort(order)
        for g, following in enumerate(groups.after.as_lists()):
            assert all(place[g] < place[s] for s in following)
    assert len({tuple(order.tolist()) for order in orders}) >= 6


@pytest.mark.parametrize("seed", range(3))
def test_the_chain_program_is_what_python_computes(seed):
    """The compiled loop and the same loop run by Python fill one table."""
    problem = drawn(500 + seed, 6)
    groups = groups_of(problem)
    shape = (problem.accelerators + 1, problem.cpus + 1, groups.count + 1)
    (order,) = topological_orders(groups, np.random.default_rng(0), 1)
    tables = []
    for loop in (bottleneck, plain(bottleneck)):
        best, last = np.full(shape, INFINITE), np.full(shape, -1)
        best[0, 0, 0] = 0.0
        loop(
            *(order, 0, groups.count, np.array(shape[:2]) - 1, 1e300, groups.work_s, groups.host_s),
            *(groups.memory_bytes, groups.cpu_only, problem.memory_limit),
            *(groups.edges_of.starts, groups.edges_of.items, groups.members.starts),
            *(groups.cost_s, np.zeros(len(groups.cost_s), dtype=np.int64), best, last),
        )
        tables.append((best, last))
    for compiled, python in zip(*tables, strict=True):
        assert (compiled == python).all()
