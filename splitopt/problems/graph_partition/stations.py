"""The machines of a decision in an order that data follow, with what each does in both passes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitopt.latency.graph_pipeline import PHASES, Stations
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.graph_partition.data import GraphPartitionData
from splitopt.problems.graph_partition.tables import BITS, passes
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


class Costs(NamedTuple):
    """Seconds of each node by pass; shape (V,) each. Backward, outputs go the other way."""

    forward: FloatArray
    backward: FloatArray
    cpu_forward: FloatArray
    cpu_backward: FloatArray
    output: FloatArray
    gradient: FloatArray


def costs_of_scenario(scenario: Scenario, profile: ModelProfile) -> Costs:
    """Return the seconds of every layer, pass by pass."""
    found = passes(scenario, profile)
    assert scenario.accelerators is not None  # passes() saw to it
    rate = scenario.accelerators.rate
    return Costs(*found[:4], BITS * found.output_bytes / rate, BITS * found.gradient_bytes / rate)


def stations_of(
    problem: GraphPartitionData,
    device: IntArray,
    costs: Costs | None = None,
    in_flight: int | None = None,
) -> tuple[IntArray, Stations]:
    """Return the machines that run anything, in an order that data follow, and what they do.

    Parameters
    ----------
    problem
        Whose devices they are.
    device
        Shape (V,): the device of each node, of a feasible decision.
    costs
        Seconds by pass; by default those of the problem, whose backward nodes are the backward
        pass.
    in_flight
        See `Stations`.

    Returns
    -------
    Shape (P,), the devices by place; and the stations.
    """
    arcs = device[problem.order]
    arcs = np.unique(arcs[arcs[:, 0] != arcs[:, 1]], axis=0)
    used = _in_order(np.unique(device), arcs)
    seconds = np.zeros((problem.devices, len(PHASES)))
    if costs is None:
        _add_nodes(problem, device, seconds)
    else:
        _add_layers(problem, device, costs, seconds)
    seconds[problem.accelerators :, [0, 2, 3, 5]] = 0.0  # CPUs communicate for nothing
    place = {int(d): j for j, d in enumerate(used)}
    before: list[list[int]] = [[] for _ in used]
    for one, two in arcs.tolist():
        before[place[two]].append(place[one])
    return used, Stations(seconds[used], tuple(map(tuple, before)), in_flight)


def _in_order(used: IntArray, arcs: IntArray) -> IntArray:
    """Return devices so that each stands behind those that it takes data from."""
    left, found = [int(d) for d in used], []
    while left:
        waiting = {int(b) for a, b in arcs if int(a) in left}
        ready = next(d for d in left if d not in waiting)
        left.remove(ready)
        found.append(ready)
    return np.array(found, dtype=np.int64)


def _add_layers(
    problem: GraphPartitionData, device: IntArray, costs: Costs, seconds: FloatArray
) -> None:
    """Add what nodes with both passes take: gradients go back where outputs came from."""
    on_cpu = device >= problem.accelerators
    forward = np.where(on_cpu, costs.cpu_forward, costs.forward)
    backward = np.where(on_cpu, costs.cpu_backward, costs.backward)
    seconds[:, 1] += np.bincount(device, forward, minlength=problem.devices)
    seconds[:, 4] += np.bincount(device, backward, minlength=problem.devices)
    _add_outputs(problem, device, costs.output, seconds, sends=2, receives=0)
    _add_outputs(problem, device, costs.gradient, seconds, sends=3, receives=5)


def _add_nodes(problem: GraphPartitionData, device: IntArray, seconds: FloatArray) -> None:
    """Add what nodes of one pass take, forward or backward."""
    work = np.where(device < problem.accelerators, problem.accelerator_s, problem.cpu_s)
    back = problem.backward
    for phase, own in ((1, ~back), (4, back)):
        seconds[:, phase] += np.bincount(device, work * own, minlength=problem.devices)
    _add_outputs(problem, device, np.where(back, 0, problem.output_s), seconds, 2, 0)
    _add_outputs(problem, device, np.where(back, problem.output_s, 0), seconds, 5, 3)


def _add_outputs(
    problem: GraphPartitionData,
    device: IntArray,
    cost: FloatArray,
    seconds: FloatArray,
    sends: int,
    receives: int,
) -> None:
    """Add what the outputs of nodes cost their own device once, and each other that needs them."""
    sent, taken, takers = crossings(problem, device)
    count = problem.devices
    seconds[:, sends] += np.bincount(device[sent], cost[sent], minlength=count)
    seconds[:, receives] += np.bincount(takers, cost[taken], minlength=count)


def crossings(problem: GraphPartitionData, device: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return the nodes whose outputs leave their device, and pairs of such a node and a taker.

    Returns
    -------
    The nodes, each once; then two arrays of the same length: the node, and another device that
    needs its output, each pair once.
    """
    start, end = problem.edges[:, 0], problem.edges[:, 1]
    cut = device[start] != device[end]
    pairs = np.unique(start[cut] * problem.devices + device[end[cut]])
    return np.unique(start[cut]), pairs // problem.devices, pairs % problem.devices
