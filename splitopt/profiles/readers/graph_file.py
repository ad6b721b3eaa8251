"""Profiles from PipeDream's ``graph.txt`` files: graphs of layers, not chains.

A line ``nodeN -- OPERATOR -- forward_compute_time=.., backward_compute_time=..,
activation_size=.., parameter_size=..`` is a layer with its times in ms and its sizes in byte for a
batch; a sequence of numbers in brackets is a tuple of activations. A line with a tab first,
``nodeN -- nodeM``, is a tensor that goes from one to the other.

A model can be cut behind a node if all data flows through it: the node dominates the output. What
lies between two such nodes becomes one layer. Finer boundaries are the prefixes of the order of
execution, where all tensors cross that are still needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.documents.csv_tables import number as number_in
from splitopt.documents.reading import read_text
from splitopt.errors import InputError, shown
from splitopt.profiles.counting.operators import Operators
from splitopt.profiles.readers.graph import Graph, GraphNode
from splitopt.profiles.readers.graph_order import EqualChain, chain_order
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.layer_graph import LayerGraph
from splitopt.profiles.table.machine_times import MachineTimes
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance

BOUNDARIES = ("cuts", "prefixes", "graph")
_NODE = re.compile(r"node([0-9]{1,9}) -- (.*) -- (.*)$")
_EDGE = re.compile(r"\tnode([0-9]{1,9}) -- node([0-9]{1,9})\s*$")
_VALUE = re.compile(r"(\w+)=(\[[^\]]*\]|[^,\s]+)")
_KEYS = ("forward_compute_time", "backward_compute_time", "activation_size", "parameter_size")


def read_graph(
    path: str | Path,
    batch_size: int,
    *,
    name: str | None = None,
    machine: str = "gpu",
    boundaries: str = "cuts",
    chain: EqualChain | None = None,
    provenance: Provenance | None = None,
) -> ModelProfile:
    """Read a ``graph.txt`` file as a profile.

    Parameters
    ----------
    path
        The file.
    batch_size
        The samples that its times and sizes are for; the file does not say.
    name
        Of the profile; by default that of the file.
    machine
        The name of the machine that the times were measured on.
    boundaries
        ``"cuts"``: behind the nodes through which all data flows. ``"prefixes"``: behind every
        node in the order of execution; then all tensors cross that are needed later. ``"graph"``:
        the same, and the profile keeps the edges, to be planned by `graph_partition`.
    chain
        Of prefixes, the machines that the order of execution shall suit, see
        `splitopt.profiles.readers.graph_order`; by default nodes with small numbers come first.
    provenance
        Where the file comes from.

    Raises
    ------
    InputError
        A line that cannot be read, an edge to a node that there is not, a circle, or a graph that
        can be cut nowhere.
    """
    source = str(path)
    graph = arranged(parse_graph(read_text(path), source), boundaries, chain)
    try:
        return profile_of_graph(
            graph,
            batch_size,
            name or Path(path).name.partition(".")[0],
            machine,
            boundaries,
            provenance or Provenance(kind="measured", source=f"the graph file {Path(path).name}"),
        )
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(source) else f"{source}: {text}") from None


def arranged(graph: Graph, boundaries: str, chain: EqualChain | None) -> Graph:
    """Return the graph in the order of execution that suits a chain, if its prefixes are asked."""
    if chain is None or boundaries != "prefixes":
        return graph
    return graph.reordered(chain_order(graph, chain))


def parse_graph(text: str, source: str = "graph") -> Graph:
    """Read the text of a ``graph.txt`` file; see `read_graph` for the errors."""
    nodes: dict[int, GraphNode] = {}
    edges: list[tuple[int, int, int]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"{source}: line {number}"
        if edge := _EDGE.match(line):
            edges.append((int(edge[1]), int(edge[2]), number))
        elif node := _NODE.match(line):
            found = _node(int(node[1]), node[2], node[3], place, len(nodes))
            if found.number in nodes:
                raise InputError.at(place, f"node{found.number} stands twice")
            nodes[found.number] = found
        elif line.strip():
            raise InputError.at(place, f"is neither a node nor an edge: {shown(line.strip(), 60)}")
    if not nodes:
        raise InputError.at(source, "has no nodes; give a graph.txt file of PipeDream's profiler")
    for start, end, number in edges:
        for stated in (start, end):
            if stated not in nodes:
                raise InputError.at(f"{source}: line {number}", f"there is no node{stated}")
    return ordered(nodes, [(start, end) for start, end, _ in edges], source)


def _node(number: int, operator: str, values: str, place: str, row: int) -> GraphNode:
    found = dict(_VALUE.findall(values))
    read = []
    for key in _KEYS:
        if key not in found:
            raise InputError.at(place, f"node{number} has no {key}")
        try:
            parts = [number_in(part, key, 0) for part in found[key].strip("[]").split(";")]
            total = math.fsum(parts)
        except (InputError, OverflowError):
            raise InputError.at(
                place, f"{key} is {shown(found[key])}, it must be finite and >= 0"
            ) from None
        read.append(total)
    forward_s, backward_s = read[0] / 1e3, read[1] / 1e3
    return GraphNode(number, operator.strip(), forward_s, backward_s, read[2], read[3], row)


def ordered(nodes: dict[int, GraphNode], edges: Sequence[tuple[int, int]], source: str) -> Graph:
    """Sort topologically, smallest numbers first, and leave out what carries no data.

    Raises
    ------
    InputError
        The edges form a circle, or there is nothing but inputs.
    """
    from heapq import heapify, heappop, heappush

    before: dict[int, list[int]] = {number: [] for number in nodes}
    after: dict[int, list[int]] = {number: [] for number in nodes}
    for start, end in dict.fromkeys(edges):
        before[end].append(start)
        after[start].append(end)
    waiting = {number: len(feeds) for number, feeds in before.items()}
    ready = [number for number, count in waiting.items() if count == 0]
    heapify(ready)
    order = []
    while ready:
        order.append(heappop(ready))
        for number in after[order[-1]]:
            waiting[number] -= 1
            if waiting[number] == 0:
                heappush(ready, number)
    if len(order) < len(nodes):
        circle = min(number for number, count in waiting.items() if count > 0)
        raise InputError.at(source, f"node{circle} is part of a circle or behind one")
    return _without_inputs([nodes[number] for number in order], before, source)


def _without_inputs(order: Sequence[GraphNode], before: dict[int, list[int]], source: str) -> Graph:
    """Drop the training data, and what starts from nothing and carries nothing."""
    place: dict[int, int] = {}
    data: dict[int, float] = {}
    kept: list[GraphNode] = []
    feeds: list[tuple[int, ...]] = []
    inputs: list[float | None] = []
    for node in order:
        taken = [data[feed] for feed in before[node.number] if feed in data]
        places = tuple(place[feed] for feed in before[node.number] if feed in place)
        if node.is_input:
            data[node.number] = node.activation_bytes
        elif places or taken or not node.idle or node.activation_bytes:
            place[node.number] = len(kept)
            kept.append(node)
            feeds.append(places)
            inputs.append(math.fsum(taken) if taken else None)
    if not kept:
        raise InputError.at(source, "has nothing but inputs")
    return Graph(tuple(kept), tuple(feeds), tuple(inputs))


def profile_of_graph(
    graph: Graph,
    batch_size: int,
    name: str,
    machine: str,
    boundaries: str,
    provenance: Provenance,
) -> ModelProfile:
    """Build the profile of a graph; the parameters are those of `read_graph`."""
    if boundaries not in BOUNDARIES:
        raise InputError.at("boundaries", f"is {boundaries!r}; choose one of {BOUNDARIES}")
    if not is_whole(batch_size, 1):
        raise InputError.at("batch_size", f"is {batch_size!r}; give the samples of a batch")
    last = len(graph.nodes) - 1
    ends = graph.cut_nodes() if boundaries == "cuts" else list(range(last + 1))
    output = max(graph.outputs())
    if boundaries != "graph":
        ends = [place for place in ends if place < output] + [last]
    if len(ends) < 2:
        raise InputError(
            f"{name}: there is no node through which all data flows, so it can be cut nowhere with "
            "one tensor; take boundaries='prefixes'"
        )
    crossing = _crossing(graph, ends, boundaries) / batch_size
    found = _table(graph, batch_size, name, machine, ends, crossing, provenance)
    return replace(found, graph=_edges(graph, batch_size)) if boundaries == "graph" else found


def _edges(graph: Graph, batch_size: int) -> LayerGraph:
    """Return the edges, and what goes along them: activations forward, gradients back."""
    edges = [(feed, place) for place, feeds in enumerate(graph.feeds) for feed in feeds]
    sent = {feed for feed, _ in edges}
    size = [
        node.activation_bytes / batch_size if place in sent else 0.0
        for place, node in enumerate(graph.nodes)
    ]
    return LayerGraph(np.array(edges), np.array(size), np.array(size))


def _crossing(graph: Graph, ends: Sequence[int], boundaries: str) -> Array:
    """Shape (2, L): bytes per batch forward and backward behind each of `ends`."""
    size = np.array([node.activation_bytes for node in graph.nodes])
    if boundaries == "cuts":
        forward = backward = size[list(ends)]
    else:
        uses = graph.last_uses
        lives = np.zeros(len(size) + 1)
        for place, last in enumerate(uses):
            lives[place] += size[place]
            lives[last] -= size[place]
        backward = np.cumsum(lives)[list(ends)]
        # data that is needed later goes along, and has no gradient that comes back
        late = np.zeros(len(size) + 1)
        for place, taken in enumerate(graph.inputs):
            late[0] += taken or 0.0
            late[place] -= taken or 0.0
        forward = backward + np.cumsum(late)[list(ends)]
    found: Array = np.maximum(np.stack([forward, backward]), 0.0)
    found[:, -1] = 0.0
    return found


def _table(
    graph: Graph,
    batch: int,
    name: str,
    machine: str,
    ends: Sequence[int],
    crossing: Array,
    provenance: Provenance,
) -> ModelProfile:
    """Collapse the nodes up to each of `ends` into layers and write the columns."""
    runs = [
        range(start, end + 1)
        for start, end in zip([0, *(e + 1 for e in ends[:-1])], ends, strict=True)
    ]

    def summed(values: Sequence[float]) -> Array:
        return np.array([math.fsum(values[place] for place in run) for run in runs])

    operators = Operators.of(
        [node.operator for node in graph.nodes],
        [node.activation_bytes / batch for node in graph.nodes],
        graph.feeds,
        [None if taken is None else taken / batch for taken in graph.inputs],
    )
    work = summed(operators.flop) if operators.flop else np.zeros(len(runs))
    parameters = summed([node.parameter_bytes for node in graph.nodes])
    forward, model = np.cumsum(work), np.cumsum(parameters)
    together, alone = (operators.kept(runs, alone=alone) for alone in (False, True))
    stated = [node.saved_bytes for node in graph.nodes if node.saved_bytes is not None]
    if len(stated) == len(graph.nodes):  # the file says what each keeps, and nothing is shared
        together = alone = summed(stated) / batch
    zeros = np.zeros(len(runs))
    times = MachineTimes(
        summed([node.forward_s / batch for node in graph.nodes]),
        summed([node.backward_s / batch for node in graph.nodes]),
        zeros,
        np.ones(len(runs), dtype=np.bool_),
    )
    return ModelProfile(
        name=name,
        layers=tuple(graph.nodes[end].label for end in ends),
        device_forward_flop=forward,
        device_backward_flop=2 * forward,
        server_forward_flop=np.append(np.cumsum(work[:0:-1])[::-1], 0.0),
        server_backward_flop=np.append(2 * np.cumsum(work[:0:-1])[::-1], 0.0),
        smashed_bytes=crossing[0],
        gradient_bytes=crossing[1],
        device_model_bytes=model,
        device_memory_fixed_bytes=2 * model,
        device_memory_per_sample_bytes=None if together is None else np.cumsum(together),
        layer_parameter_bytes=parameters,
        layer_output_bytes=np.array([graph.nodes[end].activation_bytes / batch for end in ends]),
        layer_saved_bytes=alone,
        work_unit="MAC" if operators.flop else "none",
        provenance=provenance if stated else operators.noted(provenance),
        machines={machine: times},
    )
