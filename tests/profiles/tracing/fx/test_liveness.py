"""What is alive behind a value, held against what a change of it does to the result."""

from __future__ import annotations

import operator

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402
from torch.fx import Graph, Interpreter  # noqa: E402

from splitopt.profiles.tracing.fx.liveness import analyse  # noqa: E402

pytestmark = pytest.mark.train


def random_graph(rng, size):
    """Draw a graph of sums of bent values, some of which nobody reads; some ask only for sizes."""
    graph = Graph()
    values = [graph.placeholder(f"x{number}") for number in range(int(rng.integers(1, 4)))]
    for _ in range(size):
        chosen = [values[k] for k in rng.integers(max(0, len(values) - 4), len(values), size=2)]
        kind = rng.integers(4)
        if kind == 0:
            values.append(graph.call_function(torch.sin, (chosen[0],)))
        elif kind == 1:
            values.append(graph.call_function(torch.add, tuple(chosen)))
        elif kind == 2:
            values.append(graph.call_function(operator.sub, (chosen[0], 0.3)))
        else:  # reads the shape of one, and the numbers of the other
            sides = graph.call_method("size", (chosen[0],))
            values.append(graph.call_method("reshape", (chosen[1], sides)))
    graph.output(
        graph.call_function(torch.add, (values[-1], values[int(rng.integers(len(values)))]))
    )
    return graph


class _Changed(Interpreter):
    """Runs a graph, and adds to a value once another node has run."""

    def __init__(self, graph, behind=None, changed=None):
        super().__init__(nn.Module(), graph=graph)
        self.garbage_collect_values = False
        self.behind, self.changed = behind, changed

    def run_node(self, node):
        result = super().run_node(node)
        if node is self.behind:
            if node is self.changed:
                return result + 0.37
            self.env[self.changed] = self.env[self.changed] + 0.37
        return result


@pytest.mark.parametrize("seed", range(40))
def test_alive_is_what_the_result_still_depends_on(seed):
    """A value is alive behind a node if changing it there changes what the graph returns."""
    rng, is_wasted = np.random.default_rng(seed), True
    while is_wasted:  # some value serves for its shape alone, and is taken to need its own numbers
        graph = random_graph(rng, int(rng.integers(3, 12)))
        given = [node for node in graph.nodes if node.op == "placeholder"]
        inputs = [torch.tensor(rng.normal(size=3)) for _ in given]
        wanted = _Changed(graph).run(*inputs)
        flow = analyse(graph, nn.Module())
        is_wasted = any(
            torch.equal(_Changed(graph, node, node).run(*inputs), wanted)
            for node in flow.data - set(given)
        )
    fronts = {front.node: front.values for front in flow.fronts}
    nodes = [node for node in graph.nodes if node.op != "output"]
    for index, behind in enumerate(nodes):
        if behind.op == "placeholder" or (behind.op, behind.target) == ("call_method", "size"):
            continue
        alive = tuple(
            node
            for node in nodes[: index + 1]
            if (node.op, node.target) != ("call_method", "size")
            and not torch.equal(_Changed(graph, behind, node).run(*inputs), wanted)
        )
        if behind in alive:
            assert fronts[behind] == alive
        else:
            assert behind not in fronts
