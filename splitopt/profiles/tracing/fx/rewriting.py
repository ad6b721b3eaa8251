"""The same graph with fewer values that stand in the way of a cut.

A table that is made ``like`` a value needs that value's shape and type alone, and the last state of
recurrent layers is that of the last layer: neither needs to cross a cut beside what does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Graph, Node

STATES = "splitopt_states"
"""In the meta data of a node: it joins the states of layers, so many of each."""

_LIKE: dict[Any, Callable[..., Any]] = {
    torch.zeros_like: torch.zeros,
    torch.ones_like: torch.ones,
    "new_zeros": torch.zeros,
    "new_ones": torch.ones,
}


def rewrite(graph: Graph) -> None:
    """Restate by shape, type and place what needs nothing else of a value."""
    for node in list(graph.nodes):
        with graph.inserting_before(node):
            new = _like(graph, node) or _state(graph, node)
        if new is not None:
            new.meta = {**node.meta}
            node.replace_all_uses_with(new)
            graph.erase_node(node)


def _like(graph: Graph, node: Node) -> Node | None:
    """Restate ``a.type_as(x)``, ``zeros_like(x)`` and ``x.new_zeros(size)``."""
    values = [item for item in node.args if isinstance(item, Node)]
    if node.op == "call_method" and node.target == "type_as" and len(node.args) == len(values) == 2:
        given = _asked(graph, values[1], "device"), _asked(graph, values[1], "dtype")
        return graph.call_method("to", (values[0], *given))
    if node.op not in ("call_function", "call_method") or set(node.kwargs) - {"dtype", "device"}:
        return None
    make = _LIKE.get(node.target)
    if make is None or not node.args or not isinstance(node.args[0], Node):
        return None
    source, size = node.args[0], node.args[1:]
    if node.op == "call_function" and size:
        return None
    kinds = {
        name: node.kwargs[name] if name in node.kwargs else _asked(graph, source, name)
        for name in ("dtype", "device")
    }
    sides = tuple(size) if node.op == "call_method" else (_asked(graph, source, "shape"),)
    return graph.call_function(make, sides, kinds)


def _asked(graph: Graph, value: Node, name: str) -> Node:
    found = graph.call_function(getattr, (value, name))
    found.meta = {**value.meta}
    return found


def _state(graph: Graph, node: Node) -> Node | None:
    """Read one state from the layer that has it, and not from the states of all."""
    if node.op != "call_function" or getattr(node.target, "__name__", "") != "getitem":
        return None
    joined, index = node.args
    if not isinstance(joined, Node) or STATES not in joined.meta or type(index) is not int:
        return None
    layers, each = joined.args[0], joined.meta[STATES]
    assert isinstance(layers, list | tuple)
    place = index % (len(layers) * each)
    return graph.call_function(operator.getitem, (layers[place // each], place % each))
