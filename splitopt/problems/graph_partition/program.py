"""The integer program of `GraphPartition`, written down once for every modelling language.

The devices stand in a row of K = k + l places, through which data flow from left to right. Where
there are CPUs, cpu[s] is 1 if the device at place s is one. on[c, s] is 1 where class c runs on an
accelerator at place s, host[c, s] where it runs on a CPU there.

    minimise    max_load
    subject to  sum_s on[c, s] + host[c, s] = 1                                   placed[c]
                sum_{r <= s} on[b, r] + host[b, r] <= sum_{r <= s} on[a, r] + host[a, r]
                                                        for each arc a -> b       flow[a, b, s]
                on[c, s] <= 1 - cpu[s],  host[c, s] <= cpu[s],  sum_s cpu[s] = l  kind, host_kind
                sum_c m_c on[c, s] <= M                                           memory[s]
                crossed[h, s] >= on[c, s] - on[d, s] for c, d in h                cut[h, c, d, s]
                sum_c p_c on[c, s] + sum_h c_h crossed[h, s] <= max_load           load_at[s]
                sum_c q_c host[c, s] <= max_load                                   host_load_at[s]

Of a round, used[s] is 1 if anything runs at place s, and number[n] if n places are counted, whose
periods multiply the largest load; part[n] is that load for the n that is chosen and 0 for others.

    minimise    sum_n periods(n) part[n]
    subject to  on[c, s] + host[c, s] <= used[s]                                  in_use[c, s]
                used[s + 1] <= used[s]                                            front[s]
                sum_s used[s] <= sum_n n number[n],  sum_n number[n] = 1           counted, chosen
                max_load <= sum_n part[n],  part[n] <= B number[n]                 parts, part_of[n]

B is all work and all costs on one device, which no largest load is above. Places without anything
may stand at the end, since others keep their order.
h is a node's class with those that its output feeds. Members are compared in a ring, which is
enough: where some run at s and others do not, some neighbours in the ring differ.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from splitopt.problems.graph_partition.data import GraphPartitionData
from splitopt.problems.graph_partition.decision import GraphPartitionDecision
from splitopt.problems.linear_program import LinearProgram, Values, Variable
from splitopt.problems.size import Size


def partition_program(problem: GraphPartitionData, unit_s: float) -> LinearProgram:
    """State the program with the objective in units of `unit_s`."""
    unit_s /= problem.periods(1)  # of the loads, so that they are near one in a round as well
    program = LinearProgram("graph_partition")
    classes = problem.classes
    count, places = int(classes.max()) + 1, range(problem.devices)
    only = np.bincount(classes, problem.cpu_only) > 0
    load = program.add_real(("max_load",), 0.0)
    for c in range(count):
        for s in places:
            if not only[c]:
                program.binary.append(("on", c, s))
            if problem.cpus:
                program.binary.append(("host", c, s))
    known = set(program.binary)

    def at(c: int, s: int) -> dict[Variable, float]:
        both = (("on", c, s), ("host", c, s))
        return {variable: 1.0 for variable in both if variable in known}

    for c in range(count):
        program.equal("placed", (c,), {v: 1.0 for s in places for v in at(c, s)}, 1.0)
    for a, b in class_arcs(problem):
        for s in places:
            terms = {v: 1.0 for r in range(s + 1) for v in at(b, r)}
            terms |= {v: -1.0 for r in range(s + 1) for v in at(a, r)}
            program.at_most("flow", (a, b, s), terms, 0.0)
    if problem.cpus:
        _add_kinds(program, problem, count, only.tolist())
    _add_loads(program, problem, unit_s, known)
    if problem.objective == "load":
        program.objective[load] = 1.0
    else:
        for c, s in itertools.product(range(count), places):
            program.at_most("in_use", (c, s), {**at(c, s), ("used", s): -1.0}, 0.0)
        _add_periods(program, problem, count, unit_s)
    return program


def _add_periods(
    program: LinearProgram, problem: GraphPartitionData, count: int, unit_s: float
) -> None:
    """Add the number of places in use, and the periods that it gives a round."""
    places = range(problem.devices)
    numbers = range(1, min(count, problem.devices) + 1)
    costs = math.fsum(cost for _, cost in hyperedges(problem))
    most = max(math.fsum(problem.accelerator_s.tolist()) + costs, math.fsum(problem.cpu_s.tolist()))
    program.binary += [("used", s) for s in places]
    program.binary += [("number", n) for n in numbers]
    for s in places[1:]:
        program.at_most("front", (s - 1,), {("used", s): 1.0, ("used", s - 1): -1.0}, 0.0)
    spread: dict[Variable, float] = {("max_load",): 1.0}
    for n in numbers:
        part = program.add_real(("part", n), 0.0)
        program.objective[part] = problem.periods(n) / problem.periods(1)
        program.at_most("part_of", (n,), {part: 1.0, ("number", n): -most / unit_s}, 0.0)
        spread[part] = -1.0
    program.at_most("parts", (), spread, 0.0)
    program.equal("chosen", (), {("number", n): 1.0 for n in numbers}, 1.0)
    counted: dict[Variable, float] = {("used", s): 1.0 for s in places}
    counted |= {("number", n): -float(n) for n in numbers}
    program.at_most("counted", (), counted, 0.0)


def _add_kinds(
    program: LinearProgram, problem: GraphPartitionData, count: int, only: list[bool]
) -> None:
    """Add the choice of the places at which CPUs stand."""
    places = range(problem.devices)
    program.binary += [("cpu", s) for s in places]
    program.equal("cpus", (), {("cpu", s): 1.0 for s in places}, float(problem.cpus))
    for c, s in itertools.product(range(count), places):
        if not only[c]:
            program.at_most("kind", (c, s), {("on", c, s): 1.0, ("cpu", s): 1.0}, 1.0)
        program.at_most("host_kind", (c, s), {("host", c, s): 1.0, ("cpu", s): -1.0}, 0.0)


def _add_loads(
    program: LinearProgram, problem: GraphPartitionData, unit_s: float, known: set[Variable]
) -> None:
    """Add the work, the communication and the memory of every place."""
    classes, load = problem.classes, ("max_load",)
    times = np.bincount(classes, problem.accelerator_s) / unit_s
    host = np.bincount(classes, problem.cpu_s) / unit_s
    sizes = np.bincount(classes, problem.memory_bytes)
    edges = hyperedges(problem)
    limit = problem.accelerator_memory_bytes
    for s in range(problem.devices):
        terms: dict[Variable, float] = {load: -1.0}
        room: dict[Variable, float] = {}
        own: dict[Variable, float] = {load: -1.0}
        for c in range(len(times)):
            if ("on", c, s) in known:
                terms["on", c, s] = float(times[c])
                room["on", c, s] = float(sizes[c]) / (limit or 1.0)
            if ("host", c, s) in known:
                own["host", c, s] = float(host[c])
        for h, (members, cost) in enumerate(edges):
            crossed = program.add_real(("crossed", h, s), 0.0)
            terms[crossed] = cost / unit_s
            for c, d in zip(members, (*members[1:], members[0]), strict=True):
                if ("on", c, s) not in known:
                    continue
                parts = {("on", c, s): 1.0, crossed: -1.0}
                if ("on", d, s) in known:
                    parts["on", d, s] = -1.0
                program.at_most("cut", (h, c, d, s), parts, 0.0)
        program.at_most("load_at", (s,), terms, 0.0)
        if limit is not None:
            program.at_most("memory", (s,), room, 1.0 if limit else 0.0)
        if problem.cpus:
            program.at_most("host_load_at", (s,), own, 0.0)


def class_arcs(problem: GraphPartitionData) -> list[tuple[int, int]]:
    """Return the arcs between different classes, each once."""
    arcs = problem.classes[problem.order]
    return sorted({(a, b) for a, b in arcs.tolist() if a != b})


def hyperedges(problem: GraphPartitionData) -> list[tuple[tuple[int, ...], float]]:
    """Return the classes that an output touches, rising, and its cost; alike ones added up.

    Outputs that stay within a class, or cost nothing, are left out.
    """
    touched: dict[int, set[int]] = {}
    classes = problem.classes.tolist()
    for a, b in problem.edges.tolist():
        touched.setdefault(a, {classes[a]}).add(classes[b])
    costs: dict[tuple[int, ...], list[float]] = {}
    for node, members in touched.items():
        if len(members) > 1 and (cost := float(problem.output_s[node])) > 0:
            costs.setdefault(tuple(sorted(members)), []).append(cost)
    return [(members, math.fsum(parts)) for members, parts in costs.items()]


def program_size(problem: GraphPartitionData) -> Size:
    """Count variables and rows (at most), without building the program."""
    count, places = int(problem.classes.max()) + 1, problem.devices
    edges = hyperedges(problem)
    kinds = 2 if problem.cpus else 1
    variables = places * (kinds * count + len(edges) + (kinds - 1)) + 1
    rows = count + places * (len(class_arcs(problem)) + 2 + kinds)
    rows += places * sum(len(members) for members, _ in edges)
    rows += 2 * count * places if problem.cpus else 0
    if problem.objective == "round":
        numbers = min(count, places)
        variables += places + 2 * numbers
        rows += count * places + places - 1 + numbers + 3
    return Size(variables, rows)


def read_devices(problem: GraphPartitionData, values: Values) -> GraphPartitionDecision:
    """Read the decision from values of the binaries that are 0 or 1 within a tolerance."""
    place = np.zeros(int(problem.classes.max()) + 1, dtype=np.int64)
    cpu = np.zeros(problem.devices, dtype=np.bool_)
    for variable, value in values.items():
        if value > 0.5:
            if variable[0] == "cpu":
                cpu[variable[1]] = True
            elif variable[0] in ("on", "host"):
                place[variable[1]] = variable[2]
    device = np.empty(problem.devices, dtype=np.int64)
    device[~cpu] = np.arange((~cpu).sum())
    device[cpu] = problem.accelerators + np.arange(cpu.sum())
    return GraphPartitionDecision(device[place[problem.classes]])
