"""The order of execution that suits a chain of machines, against every order of small graphs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from splitopt.profiles.published.pipedream import pipedream_profile
from splitopt.profiles.readers.graph import Graph, GraphNode
from splitopt.profiles.readers.graph_file import parse_graph
from splitopt.profiles.readers.graph_order import EqualChain, chain_order


def drawn(seed, size=7):
    """Draw a graph in topological order, listed in the file in some order."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(size)
    nodes = tuple(
        GraphNode(n, "op", *rng.uniform(0.1, 2, 2), float(rng.uniform(1, 9)), 0.0, int(rows[n]))
        for n in range(size)
    )
    feeds = [()]
    for n in range(1, size):
        count = int(rng.integers(1, min(n, 2) + 1))
        feeds.append(tuple(sorted(rng.choice(n, count, replace=False).tolist())))
    return Graph(nodes, tuple(feeds), (None,) * size)


def period(graph, order, chain):
    """Return the least period over all ways to cut an order, worked out one by one."""
    size, best = len(order), math.inf
    seconds = [graph.nodes[n].forward_s + graph.nodes[n].backward_s for n in order]
    for used in range(1, min(chain.machines, size) + 1):
        for inner in itertools.combinations(range(1, size), used - 1):
            ends = (0, *inner, size)
            value = max(sum(seconds[a:b]) for a, b in itertools.pairwise(ends))
            for cut in inner:
                here, there = set(order[:cut]), order[cut:]
                alive = {feed for n in there for feed in graph.feeds[n] if feed in here}
                moved = sum(graph.nodes[n].activation_bytes for n in alive)
                value = max(value, moved / chain.bytes_per_s)
            best = min(best, value)
    return best


def is_topological(graph, order):
    place = {node: index for index, node in enumerate(order)}
    return sorted(order) == list(range(len(order))) and all(
        place[feed] < place[n] for n, feeds in enumerate(graph.feeds) for feed in feeds
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("rate", [1.0, 4.0, math.inf])
def test_the_order_is_topological_and_no_natural_order_is_better(seed, rate):
    graph, chain = drawn(seed), EqualChain(3, rate)
    order = chain_order(graph, chain)
    assert is_topological(graph, order)
    found = period(graph, order, chain)
    listed = list(range(len(order)))
    every = [o for o in itertools.permutations(listed) if is_topological(graph, o)]
    least = min(period(graph, o, chain) for o in every)
    assert least - 1e-12 <= found <= period(graph, listed, chain) + 1e-12
    assert found <= 1.2 * least


def test_a_cut_that_slow_links_can_carry_is_kept():
    """A diamond whose branches put out much: behind its first operator alone little crosses."""
    text = "\n".join(
        f"node{n} -- op{n} -- forward_compute_time={t}, backward_compute_time=0, "
        f"activation_size={size}, parameter_size=0"
        for n, t, size in ((1, 1, 1), (2, 2, 9), (3, 2, 9), (4, 1, 1))
    )
    text += "\n\tnode1 -- node2\n\tnode1 -- node3\n\tnode2 -- node4\n\tnode3 -- node4\n"
    graph = parse_graph(text)
    # two machines and slow links: 1 byte behind node 1 is all that may cross
    order = chain_order(graph, EqualChain(2, 500.0))
    assert period(graph, order, EqualChain(2, 500.0)) == pytest.approx(5e-3)
    assert graph.reordered(order).feeds[0] == ()


def test_a_profile_in_another_order_is_the_same_model():
    """ResNet-50 behind every operator: the same work and bytes in all, in any order."""
    plain = pipedream_profile("pipedream-resnet50", "prefixes")
    other = pipedream_profile("pipedream-resnet50", "prefixes", EqualChain(4, 1250e6 / 2))
    assert sorted(plain.layers) == sorted(other.layers)
    assert plain.layers != other.layers
    assert other.machines["gpu"].total_s.sum() == pytest.approx(
        plain.machines["gpu"].total_s.sum(), rel=1e-12
    )
    assert other.device_model_bytes[-1] == pytest.approx(plain.device_model_bytes[-1], rel=1e-12)
