"""Workload files of dnn-partitioning (Tarnawski et al. 2020) as the fields of `GraphPartition`.

The files are JSON objects with ``maxFPGAs``, ``maxCPUs``, ``maxSizePerFPGA``, ``nodes`` and
``edges``; "FPGA" stands for any accelerator there. What is written twice or left open in them:

* The cost of an output stands at each of its edges and must be the same there; it is read once.
* A node without ``colorClass`` is free. Ids are any whole numbers, in any order: node i of the
  problem is the i-th of the file.
* Truth values are written as true and false in some files and as 1 and 0 in others.
* Times keep the unit of the file, which does not name it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from splitopt.documents.checks import as_float, as_whole, is_real
from splitopt.errors import InputError, shown
from splitopt.problems.base import check_keys

HEAD = ("maxFPGAs", "maxCPUs", "maxSizePerFPGA", "nodes", "edges")
_NODE = ("id", "supportedOnFpga", "cpuLatency", "fpgaLatency", "isBackwardNode")
_EDGE = ("sourceId", "destId", "cost")
_IN_THE_FILE = {
    "accelerators": "maxFPGAs",
    "cpus": "maxCPUs",
    "accelerator_memory_bytes": "maxSizePerFPGA",
    "accelerator_s": "fpgaLatency",
    "cpu_s": "cpuLatency",
    "memory_bytes": "size",
}
"""Field of the problem -> what the file calls it; the last three are those of a node."""
_SAME_COST = 1e-6
"""Costs of one output that differ by no more, in the file's unit, are called the same."""


def is_workload(document: Any) -> bool:
    """Report whether a JSON document means to be a workload of dnn-partitioning."""
    return isinstance(document, Mapping) and "maxFPGAs" in document and "format" not in document


def fields_of_workload(document: Any, source: str) -> dict[str, Any]:
    """Return the fields of `GraphPartition` that a workload states.

    Raises
    ------
    InputError
        It is none, or an entry does not fit; the message names it.
    """
    if not is_workload(document):
        raise InputError(
            f"{source}: is no workload of dnn-partitioning, which is an object with the keys "
            f"{', '.join(HEAD)}; 'splitopt solve' takes instance files"
        )
    checked = check_keys(document, HEAD, tuple(document), source)
    nodes = [_entry(item, _NODE, f"{source}: nodes[{i}]") for i, item in _listed(checked, source)]
    place: dict[int, int] = {}
    for i, node in enumerate(nodes):
        number = _whole(node["id"], f"{source}: nodes[{i}].id")
        if number in place:
            raise InputError.at(
                f"{source}: nodes[{i}].id", f"is {number}, as that of nodes[{place[number]}]; ids "
                "must differ"
            )  # fmt: skip
        place[number] = i
    edges, outputs = _read_edges(checked["edges"], place, source)
    colours = [_colour(node, f"{source}: nodes[{i}].colorClass") for i, node in enumerate(nodes)]
    names: dict[int, int] = {}
    return {
        "accelerator_s": [node["fpgaLatency"] for node in nodes],
        "cpu_s": [node["cpuLatency"] for node in nodes],
        "memory_bytes": [node.get("size", 0.0) for node in nodes],
        "output_s": outputs,
        "edges": edges,
        "accelerators": checked["maxFPGAs"],
        "cpus": checked["maxCPUs"],
        "accelerator_memory_bytes": checked["maxSizePerFPGA"],
        "backward": _truths(nodes, "isBackwardNode", source),
        "cpu_only": [not value for value in _truths(nodes, "supportedOnFpga", source)],
        "colour_classes": [
            -1 if colour is None else names.setdefault(colour, len(names)) for colour in colours
        ],
    }


def in_words_of_the_file(message: str) -> str:
    """Return a message about a field of the problem with the name that the file has for it."""
    found = re.match(r"(\w+)(\[\d+\])?: (.*)", message, re.DOTALL)
    if found is None or (name := _IN_THE_FILE.get(found[1])) is None:
        return message
    place = f"nodes{found[2]}.{name}" if found[2] else name
    return f"{place}: {found[3]}"


def _listed(document: Mapping[str, Any], source: str) -> list[tuple[int, Any]]:
    nodes = document["nodes"]
    if not isinstance(nodes, list) or not nodes:
        raise InputError.at(f"{source}: nodes", "must be a list of at least one node")
    return list(enumerate(nodes))


def _entry(item: Any, keys: tuple[str, ...], place: str) -> Mapping[str, Any]:
    """Check that an entry is an object with some keys; any others are for people."""
    return check_keys(item, keys, tuple(item) if isinstance(item, Mapping) else (), place)


def _read_edges(
    listed: Any, place: Mapping[int, int], source: str
) -> tuple[list[tuple[int, int]], list[float]]:
    """Return the edges between positions, and the cost of every node's output."""
    if not isinstance(listed, list):
        raise InputError.at(f"{source}: edges", "must be a list")
    edges, costs = [], [0.0] * len(place)
    stated: dict[int, int] = {}
    for e, item in enumerate(listed):
        where = f"{source}: edges[{e}]"
        edge = _entry(item, _EDGE, where)
        ends = []
        for key in ("sourceId", "destId"):
            number = _whole(edge[key], f"{where}.{key}")
            if number not in place:
                raise InputError.at(
                    f"{where}.{key}", f"is {number}, and no node has this id; mend it or drop the "
                    "edge"
                )  # fmt: skip
            ends.append(place[number])
        start = ends[0]
        cost = edge["cost"]
        if not is_real(cost):
            raise InputError.at(f"{where}.cost", f"is {shown(cost)}, it must be a number")
        if start not in stated:
            stated[start], costs[start] = e, as_float(cost)
        elif abs(costs[start] - cost) > _SAME_COST:
            raise InputError.at(
                f"{where}.cost",
                f"is {cost:g}, and {costs[start]:g} at edges[{stated[start]}] of the same source; "
                "an output has one cost, which all its edges must state",
            )
        edges.append((start, ends[1]))
    return edges, costs


def _whole(value: Any, place: str) -> int:
    found = as_whole(value)
    if found is None or isinstance(value, bool):
        raise InputError.at(place, f"is {shown(value)}, it must be a whole number")
    return found


def _colour(node: Mapping[str, Any], place: str) -> int | None:
    value = node.get("colorClass")
    return None if value is None else _whole(value, place)


def _truths(nodes: list[Mapping[str, Any]], key: str, source: str) -> list[bool]:
    found = []
    for i, node in enumerate(nodes):
        value = node[key]
        if not (isinstance(value, bool) or (is_real(value) and value in (0, 1))):
            raise InputError.at(
                f"{source}: nodes[{i}].{key}", f"is {shown(value)}, it must be true or false"
            )
        found.append(bool(value))
    return found
