"""The graphs of the consensus."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError
from splitopt.solvers.cut_and_resources.dp_mora.graphs import build_graph, check_graph

PATH = ((0, 1), (1, 2), (2, 3))


def laplacian(graph):
    matrix = np.zeros((graph.nodes, graph.nodes))
    for n in range(graph.nodes):
        matrix[n, graph.of(n)] = -1
        matrix[n, n] = len(graph.of(n))
    return matrix


@pytest.mark.parametrize(
    ("kind", "largest", "relayed"),
    [("complete", 6.0, 30), ("ring", 4.0, 12), ("star", 7.0, 6)],
)
def test_known_spectra(kind, largest, relayed):
    """Six devices: the Laplacian is symmetric with the known largest eigenvalue, and connected."""
    graph = build_graph(kind, 6, 0.5, 0)
    matrix = laplacian(graph)
    assert np.array_equal(matrix, matrix.T)
    values = np.linalg.eigvalsh(matrix)
    assert values[-1] == pytest.approx(largest)
    assert values[1] > 1e-9
    assert graph.relayed == relayed


def test_a_list_of_pairs_is_taken_as_it_is():
    """A pair given twice, in either order, or a device with itself adds nothing."""
    graph = build_graph((*PATH, (1, 0), (2, 2)), 4, 0.5, 0)
    assert [graph.of(n).tolist() for n in range(4)] == [[1], [0, 2], [1, 3], [2]]


def test_random_graphs_follow_their_seed():
    """The same seed gives the same graph, and every pair is joined at probability one."""
    first, second = (build_graph("erdos_renyi", 9, 0.6, 5) for _ in range(2))
    assert np.array_equal(first.neighbours, second.neighbours)
    whole = build_graph("erdos_renyi", 9, 1.0, 5)
    assert np.array_equal(whole.neighbours, build_graph("complete", 9, 0.5, 0).neighbours)


@pytest.mark.parametrize("kind", ["complete", "ring", "star", ()])
def test_a_device_alone_is_connected(kind):
    """One device needs no edge."""
    assert build_graph(kind, 1, 0.5, 0).devices == 1


@pytest.mark.parametrize(
    ("graph", "devices", "words"),
    [
        (((0, 1), (2, 3)), 4, "not connected: device 2 cannot be reached from device 0"),
        ((), 2, "not connected: device 1"),
        ("erdos_renyi", 5, "not connected"),
        (((0, 4),), 4, "names device 4; devices are 0 to 3"),
    ],
)
def test_graphs_that_allow_no_consensus_are_refused(graph, devices, words):
    """A disconnected graph and an unknown device are named."""
    with pytest.raises(InputError, match=words):
        build_graph(graph, devices, 1e-6, 0)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ("tree", "graph: is 'tree'; choose complete"),
        (5, "graph: is 5"),
        ([[0, 1], [1]], r"graph\[1\]: is \[1\]"),
        ([[0, True]], r"graph\[0\]"),
        ([[0, -1]], r"graph\[0\]"),
    ],
)
def test_what_is_no_graph_is_refused(graph, words):
    """The option is a known name or a list of pairs."""
    with pytest.raises(InputError, match=words):
        check_graph(graph)
