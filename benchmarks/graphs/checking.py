"""Plans and proofs of layer graphs checked against the workload file alone, in plain Python.

Nothing of the package is used: loads are added up node by node from the JSON document, and the
optimum of small graphs is found again by a dynamic program over all pairs of ideals, without
joined groups, windows, limits or dominance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Workload = Mapping[str, Any]
Ideal = frozenset[int]


def device_loads(document: Workload, devices: Mapping[int, int]) -> dict[int, float]:
    """Return the load of every device in use.

    Parameters
    ----------
    document
        A workload of dnn-partitioning.
    devices
        Id of a node -> device; 0 to ``maxFPGAs`` - 1 are accelerators, the others CPUs.
    """
    accelerators = document["maxFPGAs"]
    loads: dict[int, float] = {}
    for node in document["nodes"]:
        device = devices[node["id"]]
        key = "fpgaLatency" if device < accelerators else "cpuLatency"
        loads[device] = loads.get(device, 0.0) + node[key]
    for node in document["nodes"]:
        home = devices[node["id"]]
        out = [edge for edge in document["edges"] if edge["sourceId"] == node["id"]]
        elsewhere = {devices[edge["destId"]] for edge in out} - {home}
        for device in {home, *elsewhere} if elsewhere else ():
            if device < accelerators:
                loads[device] += out[0]["cost"]
    return loads


def faults(document: Workload, devices: Mapping[int, int]) -> list[str]:
    """Name what a plan breaks: memory, colours, what accelerators support, the flow of data."""
    found = []
    accelerators = document["maxFPGAs"]
    for device in range(accelerators):
        held = sum(n.get("size", 0) for n in document["nodes"] if devices[n["id"]] == device)
        if held > document["maxSizePerFPGA"] * (1 + 1e-9):
            found.append(f"device {device} holds {held} bytes")
    colours: dict[Any, set[int]] = {}
    for node in document["nodes"]:
        if node.get("colorClass") is not None:
            colours.setdefault(node["colorClass"], set()).add(devices[node["id"]])
        if not node["supportedOnFpga"] and devices[node["id"]] < accelerators:
            found.append(f"node {node['id']} is on an accelerator")
    found += [f"colour {colour} is split" for colour, on in colours.items() if len(on) > 1]
    arcs = {(devices[a], devices[b]) for a, b in arcs_of(document)}
    reached = _closure({a for arc in arcs for a in arc}, [arc for arc in arcs if arc[0] != arc[1]])
    found += [f"device {d} waits for itself" for d in reached if d in reached[d]]
    return found


def arcs_of(document: Workload) -> list[tuple[int, int]]:
    """Return the arcs that the devices must follow, by ids: forward ones and mirrored orphans."""
    nodes = {node["id"]: node for node in document["nodes"]}
    class_of = {i: _class(node) for i, node in nodes.items()}
    forward = {class_of[i] for i, node in nodes.items() if not node["isBackwardNode"]}
    found = []
    for edge in document["edges"]:
        a, b = edge["sourceId"], edge["destId"]
        back = bool(nodes[a]["isBackwardNode"]), bool(nodes[b]["isBackwardNode"])
        if back == (False, False):
            found.append((a, b))
        elif back == (True, True) and not {class_of[a], class_of[b]} <= forward:
            found.append((b, a))
    return found


class TooManyIdealsError(Exception):
    """A graph has more ideals than the naive program should look at."""


def naive_optimum(document: Workload, most: int = 300) -> float | None:
    """Return the least largest load, None if nothing fits.

    Every pair of ideals is a device; smaller ideals come first.

    Raises
    ------
    TooManyIdealsError
        There are more ideals than `most`.
    """
    groups, arcs = _groups(document)
    ideals = _ideals(len(groups), arcs, most)
    whole = frozenset(range(len(groups)))
    accelerators, cpus = document["maxFPGAs"], document["maxCPUs"]
    best: dict[tuple[Ideal, int, int], float] = {(frozenset(), 0, 0): 0.0}
    costs = _Costs(document, groups)
    for smaller in ideals:
        for larger in ideals:
            if not smaller < larger:
                continue
            on_accelerator, on_cpu = costs.of(larger - smaller)
            for j in range(accelerators + 1):
                for c in range(cpus + 1):
                    known = best.get((smaller, j, c))
                    if known is None:
                        continue
                    for key, load in (
                        ((larger, j + 1, c), on_accelerator),
                        ((larger, j, c + 1), on_cpu),
                    ):
                        if key[1] <= accelerators and key[2] <= cpus and load is not None:
                            best[key] = min(best.get(key, float("inf")), max(known, load))
    ends = [value for (ideal, _, _), value in best.items() if ideal == whole]
    return min(ends) if ends else None


class _Costs:
    """What a set of groups costs an accelerator and a CPU."""

    def __init__(self, document: Workload, groups: Sequence[frozenset[int]]) -> None:
        self.document, self.groups = document, groups
        self.nodes = {node["id"]: node for node in document["nodes"]}
        self.touched: dict[int, set[int]] = {}
        self.cost: dict[int, float] = {}
        for edge in document["edges"]:
            self.touched.setdefault(edge["sourceId"], {edge["sourceId"]}).add(edge["destId"])
            self.cost[edge["sourceId"]] = edge["cost"]

    def of(self, part: Iterable[int]) -> tuple[float | None, float]:
        """Return the load of an accelerator, None if it cannot take the part, and of a CPU."""
        members = {i for g in part for i in self.groups[g]}
        own = [self.nodes[i] for i in members]
        host = sum(node["cpuLatency"] for node in own)
        room = sum(node.get("size", 0) for node in own)
        if room > self.document["maxSizePerFPGA"] * (1 + 1e-9):
            return None, host
        if not all(node["supportedOnFpga"] for node in own):
            return None, host
        load = sum(node["fpgaLatency"] for node in own)
        for i, touched in self.touched.items():
            if touched & members and touched - members:
                load += self.cost[i]
        return load, host


def _class(node: Mapping[str, Any]) -> tuple[str, int]:
    colour = node.get("colorClass")
    return ("node", node["id"]) if colour is None else ("colour", colour)


def _groups(document: Workload) -> tuple[list[frozenset[int]], list[tuple[int, int]]]:
    """Return the sets of ids that no partition can split, and the arcs between them."""
    by_class: dict[tuple[str, int], list[int]] = {}
    for node in document["nodes"]:
        by_class.setdefault(_class(node), []).append(node["id"])
    number = {i: k for k, ids in enumerate(by_class.values()) for i in ids}
    arcs = {(number[a], number[b]) for a, b in arcs_of(document) if number[a] != number[b]}
    reached = _closure(set(number.values()), arcs)
    joined = [frozenset({k} | {m for m in reached[k] if k in reached[m]}) for k in reached]
    parts = list(dict.fromkeys(joined))
    place = {k: p for p, part in enumerate(parts) for k in part}
    ids = [frozenset(i for i, k in number.items() if k in part) for part in parts]
    between = {(place[a], place[b]) for a, b in arcs if place[a] != place[b]}
    return ids, sorted(between)


def _closure(vertices: Iterable[int], arcs: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    """Return what is reached from each vertex by one arc or more."""
    following: dict[int, set[int]] = {v: set() for v in vertices}
    for a, b in arcs:
        following[a].add(b)
    found = {}
    for v in following:
        seen: set[int] = set()
        waiting = list(following[v])
        while waiting:
            w = waiting.pop()
            if w not in seen:
                seen.add(w)
                waiting += following[w]
        found[v] = seen
    return found


def _ideals(count: int, arcs: Sequence[tuple[int, int]], most: int) -> list[Ideal]:
    """Return all sets that hold whatever their members follow, by rising size."""
    before: list[set[int]] = [set() for _ in range(count)]
    for a, b in arcs:
        before[b].add(a)
    found: dict[Ideal, None] = {frozenset(): None}
    for ideal in (listed := [frozenset[int]()]):  # grows on the way
        for g in range(count):
            if g not in ideal and before[g] <= ideal and (more := ideal | {g}) not in found:
                found[more] = None
                listed.append(more)
        if len(found) > most:
            raise TooManyIdealsError
    return sorted(found, key=len)
