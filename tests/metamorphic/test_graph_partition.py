"""What must not change, or only in one direction, when a layer graph is told otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from splitopt import GraphPartition, solve
from splitopt.bench.instances.families.graph_partition import BENCHMARK

FAMILIES = ("branches", "layered", "training", "orphans", "whole", "memory", "together")


def drawn(family, seed=0, nodes=14):
    return BENCHMARK.families[family](seed=seed, nodes=nodes, accelerators=3)


def best(problem):
    found = solve(problem)
    assert found.outcome == "optimal"
    return found.objective


def fields(problem):
    names = ("accelerator_s", "output_s", "cpu_s", "memory_bytes")
    names += ("backward", "colour_classes", "cpu_only")
    return {name: getattr(problem, name) for name in names}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_numbers_of_nodes_and_the_order_of_edges_do_not_matter(family):
    problem, rng = drawn(family), np.random.default_rng(1)
    order = rng.permutation(problem.nodes)  # node order[i] becomes node i
    place = np.argsort(order)
    edges = rng.permutation(place[problem.edges])
    changed = {name: value[order] for name, value in fields(problem).items()}
    assert best(replace(problem, edges=edges, **changed)) == pytest.approx(best(problem), rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_units_scale_the_load(family):
    problem = drawn(family)
    scaled = {name: 1000 * getattr(problem, name) for name in ("accelerator_s", "output_s")}
    assert best(replace(problem, **scaled, cpu_s=1000 * problem.cpu_s)) == pytest.approx(
        1000 * best(problem), rel=1e-9
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_an_edge_that_stands_twice_costs_nothing_more(family):
    problem = drawn(family)
    twice = np.concatenate((problem.edges, problem.edges[::2]))
    assert best(replace(problem, edges=twice)) == pytest.approx(best(problem), rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_more_freedom_never_costs_more(family):
    """Another accelerator, another CPU, free links, faster layers, more memory, no classes."""
    problem = drawn(family, 2)
    known = best(problem) * (1 + 1e-9)
    changes = [
        {"accelerators": 4},
        {"cpus": problem.cpus + 1, "cpu_s": problem.accelerator_s * 9 + 1},
        {"output_s": problem.output_s / 2},
        {"accelerator_s": problem.accelerator_s * 0.9},
        {"accelerator_memory_bytes": None},
    ]
    if not problem.cpus:
        changes[1]["cpus"] = 1
    else:
        changes[1].pop("cpu_s")
    if not problem.backward.any():
        changes.append({"colour_classes": np.full(problem.nodes, -1)})
        changes.append({"edges": problem.edges[1:]})
    for change in changes:
        assert best(replace(problem, **change)) <= known, change


@pytest.mark.parametrize("family", ["branches", "layered", "memory"])
def test_the_graph_turned_round_has_the_same_optimum_where_outputs_are_free(family):
    """Then only the order counts, and it may be read from either end."""
    problem = replace(drawn(family, 3), output_s=np.zeros(14))
    turned = replace(problem, edges=problem.edges[:, ::-1])
    assert best(turned) == pytest.approx(best(problem), rel=1e-9)


def test_a_node_cut_in_two_that_stay_together_is_one_node():
    """Half the work each, and an output between them that never crosses."""
    problem = drawn("layered", 4, 10)
    v, count = 4, problem.nodes
    edges = [(count if a == v else a, b) for a, b in problem.edges.tolist()]
    halved = problem.accelerator_s.copy()
    halved[v] /= 2
    output = problem.output_s.copy()
    output[v] = 99.0
    colours = np.full(count + 1, -1)
    colours[[v, count]] = 0
    apart = GraphPartition(
        accelerator_s=np.append(halved, halved[v]),
        output_s=np.append(output, problem.output_s[v]),
        edges=[*edges, (v, count)],
        accelerators=3,
        cpus=1,
        cpu_s=np.append(problem.cpu_s, 0.0),
        colour_classes=colours,
    )
    assert best(apart) == pytest.approx(best(problem), rel=1e-9)


@pytest.mark.parametrize("family", ["layered", "memory", "rounds"])
def test_a_round_is_no_shorter_with_more_micro_batches_and_no_longer_with_more_devices(family):
    """Nor shorter than the micro-batches times the least load, nor longer than its most periods."""
    drawn_one, before = drawn(family, 5), 0.0
    load = best(drawn_one)
    for batches in (1, 2, 5, 16, 64):
        problem = replace(drawn_one, micro_batches=batches, objective="round")
        found = best(problem)
        assert found > before
        assert found >= batches * load * (1 - 1e-9)
        assert best(replace(problem, accelerators=4)) <= found * (1 + 1e-9)
        before = found
    assert found <= (64 + 2 * drawn_one.devices - 3) * load * (1 + 1e-9)


@pytest.mark.parametrize("family", ["layered", "rounds"])
def test_other_units_scale_the_round(family):
    problem = replace(drawn(family, 6), micro_batches=7, objective="round")
    names = ("accelerator_s", "output_s", "cpu_s")
    scaled = {name: 1e-6 * getattr(problem, name) for name in names}
    assert best(replace(problem, **scaled)) == pytest.approx(1e-6 * best(problem), rel=1e-9)
