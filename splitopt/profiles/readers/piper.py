"""Piper's workloads: JSON files with a graph of layers, each with ways to run it (TMPCs).

Form: the README of msr-fiddle/piper, its ``algo.cpp`` and the files in ``inputs``. A *sample* of
Piper is a micro-batch. What README, program and files say differently, or leave open:

* ``timePerSample`` is forward and backward pass together. The program adds bytes divided by bytes
  per second to it, so that it is in seconds; the files of ResNet-50 and GNMT have milliseconds.
* Of a layer with the TMPCs ``vanilla`` and ``activation recomp`` the second one runs the forward
  pass once more, so that their difference is the forward pass. Without the second, a third is.
* The cost of an output stands at each of its edges, and differs there in the file of BERT.
* Devices, memory, bandwidth and micro-batches stand in the file, too; here a scenario states them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitopt.documents.checks import as_whole, is_whole
from splitopt.documents.fields import expect_keys, expect_mapping, expect_name, expect_number
from splitopt.errors import InputError, shown
from splitopt.profiles.readers.graph import GraphNode
from splitopt.profiles.readers.graph_file import arranged, ordered, profile_of_graph
from splitopt.profiles.readers.graph_order import EqualChain
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance

UNITS = {"s": 1.0, "ms": 1e-3}
PLAIN, AGAIN = "vanilla", "activation recomp"
_TMPC = (
    "id", "timePerSample", "parameterSize", "memoryUsageA", "memoryUsageB", "syncTimeFw",
    "syncTimeBw",
)  # fmt: skip
_EDGE = ("sourceId", "destId", "communicationCost")
_INPUT = "Input"
_ROUNDING = 1e-9
"""Of the seconds of both passes: by so much a forward pass may exceed them."""


@dataclass(frozen=True)
class _Way:
    """A TMPC for one device, times in the unit of the file."""

    seconds: float
    again: float | None
    parameter_bytes: float
    saved_bytes: float


def is_piper(document: Any) -> bool:
    """Whether a JSON document means to be a workload of Piper."""
    nodes = document.get("nodes") if isinstance(document, Mapping) else None
    return isinstance(nodes, list) and any(
        isinstance(node, Mapping) and "TMPCs" in node for node in nodes
    )


def piper_profile(
    document: Any,
    path: str | Path,
    batch_size: int,
    unit: str,
    *,
    machine: str = "gpu",
    boundaries: str = "cuts",
    chain: EqualChain | None = None,
) -> ModelProfile:
    """Return the profile of such a document, run on one device without tensor parallelism.

    What starts from nothing, takes no time and has no parameters is an input of the model.

    Parameters
    ----------
    document, path
        The parsed file, and its name for messages.
    batch_size
        Samples in a micro-batch, which the file does not say.
    unit
        That of its times, ``s`` or ``ms``, which the file does not say.
    machine
        The name of the machine that the times were measured on.
    boundaries, chain
        Where the graph can be cut, see `splitopt.profiles.read_graph`.

    Raises
    ------
    InputError
        A missing key, a number that is none, an id that stands twice or an edge to one that there
        is not, a circle, a layer that cannot run on one device, or a graph that can be cut nowhere.
    """
    source = str(path)
    if not isinstance(unit, str) or unit not in UNITS:
        raise InputError.at("unit", f"is {shown(unit)}; choose one of {', '.join(UNITS)}")
    if not is_whole(batch_size, 1):
        raise InputError.at("batch", f"is {shown(batch_size)}; give a whole number >= 1")
    found = expect_keys(document, source, ("nodes", "edges"), tuple(document))
    names, ways = _read_nodes(found["nodes"], source)
    edges, outputs, unlike = _read_edges(found["edges"], names, source)
    forward = _forward(ways)
    fed = {end for _, end in edges}
    nodes: dict[int, GraphNode] = {}
    for row, (number, way) in enumerate(ways.items()):
        first = way.seconds / 3 if forward is None else forward[number]
        idle = not (way.seconds or way.parameter_bytes or number in fed)
        nodes[number] = GraphNode(
            number,
            _INPUT if idle else names[number],
            first * UNITS[unit],
            (way.seconds - first) * UNITS[unit],
            outputs.get(number, 0.0),
            way.parameter_bytes,
            row,
            way.saved_bytes,
        )
    graph = arranged(ordered(nodes, edges, source), boundaries, chain)
    provenance = Provenance(
        kind="measured",
        source=f"Piper's file {Path(path).name}",
        notes=tuple(_notes(forward is None, unlike)),
    )
    try:
        return profile_of_graph(graph, batch_size, Path(path).stem, machine, boundaries, provenance)
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(source) else f"{source}: {text}") from None


def _notes(guessed: bool, unlike: int) -> list[str]:
    """Return what a careful reader has to know of the file."""
    notes = [
        "The file has forward and backward pass together: a third is taken for the forward pass."
        if guessed
        else f"The forward pass is what {AGAIN!r} takes longer than {PLAIN!r}.",
        "Work is unknown; memoryUsageA stands for what a layer keeps for its backward pass.",
        "What the last layer puts out is not in the file, and counts as 0 B.",
    ]
    if unlike:
        notes.append(
            f"The edges of {unlike} layers or inputs state different sizes of one output; the "
            "largest is taken."
        )
    return notes


def _forward(ways: Mapping[int, _Way]) -> dict[int, float] | None:
    """Return the time of each forward pass, None unless both TMPCs of every layer say it."""
    found = {}
    for number, way in ways.items():
        if way.again is None:
            return None
        again = way.again - way.seconds
        slack = _ROUNDING * way.again
        if not -slack <= again <= way.seconds + slack:
            return None
        found[number] = min(max(again, 0.0), way.seconds)
    return found


def _read_nodes(listed: Any, source: str) -> tuple[dict[int, str], dict[int, _Way]]:
    """Return the name of every layer, and how it runs on one device, by its id."""
    names: dict[int, str] = {}
    ways: dict[int, _Way] = {}
    for index, item in enumerate(_listed(listed, f"{source}: nodes", 1)):
        where = f"{source}: nodes[{index}]"
        node = _entry(item, where, ("id", "TMPCs"))
        number = _id(node["id"], f"{where}.id")
        if number in names:
            raise InputError.at(f"{where}.id", f"is {number}, which stands there before")
        name = expect_name(node["name"], f"{where}.name") if "name" in node else "layer"
        names[number] = name.partition("(")[0].strip() or "layer"
        ways[number] = _read_way(node["TMPCs"], f"{where}.TMPCs")
    return names, ways


def _read_way(tmpcs: Any, where: str) -> _Way:
    """Return the plain TMPC for one device, with the time of the one that recomputes."""
    listed = expect_mapping(tmpcs, where).get("1")
    if not isinstance(listed, list) or not listed:
        raise InputError.at(
            where, "has none for 1 device; a plan runs a layer on one machine, so state one"
        )
    found: dict[str, _Way] = {}
    for index, item in enumerate(listed):
        place = f"{where}.1[{index}]"
        tmpc = _entry(item, place, _TMPC)
        for key in ("syncTimeFw", "syncTimeBw"):
            expect_mapping(tmpc[key], f"{place}.{key}")
        numbers = {key: expect_number(tmpc[key], f"{place}.{key}", 0) for key in _TMPC[1:5]}
        name = expect_name(tmpc["id"], f"{place}.id")
        if name in found:
            raise InputError.at(f"{place}.id", f"is {shown(name)}, which stands there before")
        found[name] = _Way(
            numbers["timePerSample"], None, numbers["parameterSize"], numbers["memoryUsageA"]
        )
    plain = found.get(PLAIN) if len(found) > 1 else next(iter(found.values()))
    if plain is None:
        names = ", ".join(map(shown, found))
        raise InputError.at(
            f"{where}.1", f"has {names}; call the one without recomputation {PLAIN!r}, or drop the "
            "others"
        )  # fmt: skip
    again = found.get(AGAIN)
    if again is None or again is plain:
        return plain
    return _Way(plain.seconds, again.seconds, plain.parameter_bytes, plain.saved_bytes)


def _read_edges(
    listed: Any, known: Mapping[int, str], source: str
) -> tuple[list[tuple[int, int]], dict[int, float], int]:
    """Return who feeds whom, the bytes of every output, and of how many they differ by edge."""
    edges: dict[tuple[int, int], None] = {}
    sizes: dict[int, set[float]] = {}
    for index, item in enumerate(_listed(listed, f"{source}: edges", 0)):
        where = f"{source}: edges[{index}]"
        edge = _entry(item, where, _EDGE)
        ends = []
        for key in _EDGE[:2]:
            number = _id(edge[key], f"{where}.{key}")
            if number not in known:
                raise InputError.at(f"{where}.{key}", f"is {number}, and no node has this id")
            ends.append(number)
        if (pair := (ends[0], ends[1])) in edges:
            raise InputError.at(where, f"leads from {pair[0]} to {pair[1]} as one before does")
        edges[pair] = None
        size = expect_number(edge["communicationCost"], f"{where}.communicationCost", 0)
        sizes.setdefault(ends[0], set()).add(size)
    unlike = sum(len(found) > 1 for found in sizes.values())
    return list(edges), {number: max(found) for number, found in sizes.items()}, unlike


def _listed(value: Any, where: str, least: int) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) < least:
        wanted = "a list with at least one node" if least else "a list"
        raise InputError.at(where, f"must be {wanted}, found {shown(value)}")
    return value


def _entry(item: Any, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Check that an entry is an object with some keys; any others are for people."""
    return expect_keys(item, where, keys, tuple(item) if isinstance(item, Mapping) else ())


def _id(value: Any, where: str) -> int:
    found = as_whole(value)
    if found is None or isinstance(value, bool) or abs(found) >= 1e9:
        raise InputError.at(where, f"is {shown(value)}; give a whole number of up to nine digits")
    return found
