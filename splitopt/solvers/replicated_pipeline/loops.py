"""Compiled loops: the least period of pipelines from each layer on, by devices of each type.

``value[i, c]`` is the least period of the layers from i on with exactly the devices c, one count
per type in mixed radix:

    value[S, 0] = 0
    value[i, c] = min over j > i, 0 < g <= c of max(period(i, j, g), value[j, c - g])

A stage's micro-batches in flight depend on the devices from it to the end, and these are c: no
further state is needed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper

ROUNDING = 1e-9
"""A share that exceeds a whole number by less does so by rounding."""
ONE_F_ONE_B, GPIPE, PIPEDREAM = 0, 1, 2
"""Codes of the schedules."""


class Layers(NamedTuple):
    """Seconds (T, S), and bytes of layers (S,) and of boundaries (S + 1,)."""

    forward: FloatArray
    backward: FloatArray
    weights: FloatArray
    kept: FloatArray
    states: FloatArray
    up: FloatArray
    down: FloatArray


class Fleet(NamedTuple):
    """Devices: the counts (G, T) and sizes (G,) of all groups, rates and memory of types (T,).

    For group g the groups that contain it are ``larger[begin[g]:begin[g + 1]]``.
    """

    counts: IntArray
    sizes: IntArray
    begin: IntArray
    larger: IntArray
    rates: FloatArray
    capacity: FloatArray


class Rules(NamedTuple):
    """Schedule (a code), micro-batches of a step, most replicas, and what is allowed.

    Only pipelines below the period ``cap`` are of interest.
    """

    schedule: int
    micro_batches: int
    replicas: int
    plain: bool
    again: bool
    shard: bool
    overlap: bool
    full: bool
    cap: float


class Table(NamedTuple):
    """Values (S + 1, G), and the first stage of each: its end, its group and its recompute."""

    value: FloatArray
    end: IntArray
    group: IntArray
    again: BoolArray


class Sums(NamedTuple):
    """A stage's sums over its layers: seconds (T,), and bytes."""

    forward: FloatArray
    backward: FloatArray
    weights: float
    kept: float
    states: float
    moved: float
    received: float


@compiled
def fill_row(
    start: int,
    ends: tuple[int, int],
    layers: Layers,
    fleet: Fleet,
    rules: Rules,
    table: Table,
) -> None:
    """Better the values from a layer on, for all groups; the rows behind it are known.

    Parameters
    ----------
    start
        The layer.
    ends
        The first and the last end of its stage that are looked at.
    layers, fleet, rules
        The problem.
    table
        The row of `start` is written.
    """
    types = layers.forward.shape[0]
    forward = np.zeros(types)
    backward = np.zeros(types)
    alone = np.empty(types)
    weights, kept, states = 0.0, 0.0, 0.0
    largest = rules.micro_batches if rules.schedule == GPIPE else fleet.sizes[-1]
    for end in range(start + 1, ends[1] + 1):
        forward += layers.forward[:, end - 1]
        backward += layers.backward[:, end - 1]
        weights += layers.weights[end - 1]
        kept += layers.kept[end - 1]
        states += layers.states[end - 1]
        if end < ends[0]:
            continue
        into = layers.up[start] + layers.down[end]
        out = layers.down[start] + layers.up[end]
        sums = Sums(
            forward,
            backward,
            weights,
            kept,
            states,
            max(into, out) if rules.full else into + out,
            layers.up[start],
        )
        for group in range(1, fleet.sizes.size):
            if fleet.sizes[group] > rules.replicas:
                continue
            # Recompute takes longer: it is of use only where memory is too small without it.
            period, most = 0.0, -1.0
            if rules.plain:
                period, most = _stage(group, False, sums, fleet, rules, alone)
            longer, more = np.inf, -1.0
            if rules.again and period < rules.cap and most < largest:
                longer, more = _stage(group, True, sums, fleet, rules, alone)
            # A stage at the cap is in no pipeline below it.
            if min(period, longer) < rules.cap and max(most, more) >= 1.0:
                _put_before(start, end, group, (period, most), (longer, more), fleet, rules, table)


@helper
def _put_before(
    start: int,
    end: int,
    group: int,
    plain: tuple[float, float],
    again: tuple[float, float],
    fleet: Fleet,
    rules: Rules,
    table: Table,
) -> None:
    """Put a stage before what the other devices do with the layers behind it."""
    for place in range(fleet.begin[group], fleet.begin[group + 1]):
        held = fleet.larger[place]
        flight = fleet.sizes[held]
        if rules.schedule == GPIPE:
            flight = rules.micro_batches
        elif rules.schedule == ONE_F_ONE_B:
            flight = min(flight, rules.micro_batches)
        if flight <= plain[1]:
            period, recompute = plain[0], False
        elif flight <= again[1]:
            period, recompute = again[0], True
        else:
            continue
        found = max(period, table.value[end, held - group])
        if found < table.value[start, held]:
            table.value[start, held] = found
            table.end[start, held] = end
            table.group[start, held] = group
            table.again[start, held] = recompute


@helper
def _stage(
    group: int, again: bool, sums: Sums, fleet: Fleet, rules: Rules, alone: FloatArray
) -> tuple[float, float]:
    """Compute a stage's period, and for how many micro-batches in flight it has memory.

    Parameters
    ----------
    again
        Whether activations are computed again.
    alone
        Shape (T,), written: seconds of a micro-batch on one device.
    """
    devices, replicas = fleet.counts[group], fleet.sizes[group]
    least, slowest = np.inf, np.inf
    for kind in range(devices.size):
        if devices[kind] == 0:
            continue
        compute = sums.forward[kind] + sums.backward[kind]
        if again:
            compute += sums.forward[kind]
        transfer = sums.moved / fleet.rates[kind]
        alone[kind] = max(compute, transfer) if rules.overlap else compute + transfer
        least = min(least, alone[kind])
        slowest = min(slowest, fleet.rates[kind])
    total = 0.0
    for kind in range(devices.size):
        if devices[kind] > 0:
            total += devices[kind] * _speed(least, alone[kind])
    dealt, reduced = least / total, 0.0
    if replicas > 1:
        per = replicas if rules.schedule == PIPEDREAM else rules.micro_batches
        busy = 2 if rules.full else 4
        reduced = busy * (replicas - 1) / replicas * sums.weights / slowest / per
    period = max(dealt, reduced) if rules.overlap else dealt + reduced
    if period >= rules.cap:
        return period, -1.0
    # What does not depend on the micro-batches in flight, and what each of them takes.
    fixed = 2 * sums.weights + (sums.states / replicas if rules.shard else sums.states)
    each = sums.kept
    if again:
        fixed, each = fixed + sums.kept, sums.received
    if rules.schedule == PIPEDREAM:
        fixed, each = fixed - sums.weights, each + sums.weights
    most = np.inf
    for kind in range(devices.size):
        if devices[kind] == 0:
            continue
        room = fleet.capacity[kind] - fixed
        if room < each:  # a device holds one at least
            return period, -1.0
        share = _speed(least, alone[kind]) / total
        if each > 0.0 and share > 0.0:
            most = min(most, (np.floor(room / each) + ROUNDING) / share)
    return period, most


@helper
def _speed(least: float, alone: float) -> float:
    """Return how fast a device is beside the fastest; one that takes no time is."""
    if alone > 0.0:
        return least / alone
    return 1.0
