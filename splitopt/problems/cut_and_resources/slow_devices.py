"""Devices that may be slow, and rounds that do not wait for all: data, and what a plan then takes.

At most G devices are slow at once, each by factors of its own (budgeted uncertainty, Bertsimas and
Sim 2004, "The price of robustness"). As there, G need not be whole: of G = 2.5 two devices are as
slow as stated and one is half as much slower. Cuts and shares stand before the slow ones are known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from splitopt.errors import InputError, shown
from splitopt.problems.arrays import number, number_table, whole_number
from splitopt.problems.base import BoolArray, FloatArray, check_keys

KEYS = ("devices", "compute", "links")
MOST_FACTOR = 1e6
"""The largest factor by which a device is slower."""


@dataclass(frozen=True, eq=False)
class SlowDevices:
    """At most so many devices are slower at once, each by its own factors.

    Parameters
    ----------
    devices
        G: how many at most, from 0 to N; a fraction is a device that is partly slow.
    compute
        Shape (N,), >= 1: what a slow device's own seconds are multiplied by.
    links
        Shape (N,), >= 1: what the seconds of its downlink and uplink are multiplied by.
    """

    devices: float
    compute: FloatArray
    links: FloatArray

    @property
    def is_whole(self) -> bool:
        """Whether no device is only partly slow."""
        return self.devices == math.floor(self.devices)

    def data(self) -> dict[str, Any]:
        """Return the entry ``slow`` of an instance's data."""
        return {name: getattr(self, name) for name in KEYS}


def read_slow(value: Any, source: str, fleet: int) -> SlowDevices | None:
    """Check the entry ``slow`` for so many devices; None if there is none.

    Raises
    ------
    InputError
        A field is missing, unknown or out of range; the message names it.
    """
    if value is None or isinstance(value, SlowDevices):
        if value is not None and len(value.compute) != fleet:
            raise InputError.at(source, f"is about {len(value.compute)} devices, not {fleet}")
        return value
    given = check_keys(value, ("devices",), KEYS, source)
    count = number(given["devices"], f"{source}.devices", "a number of devices")
    if count > fleet:
        raise InputError.at(
            f"{source}.devices", f"is {count:g}, it must be at most the {fleet} devices there are"
        )
    factors = [_factors(given.get(name, 1.0), f"{source}.{name}", fleet) for name in KEYS[1:]]
    return SlowDevices(count, *factors)


def _factors(value: Any, source: str, fleet: int) -> FloatArray:
    """Read factors (N,) from 1 on, or one for all."""
    if np.ndim(value) == 0 and not isinstance(value, Mapping):
        value = [number(value, source, "a factor")] * fleet
    found = number_table(value, source, "factors", (fleet,))
    odd = (found < 1) | (found > MOST_FACTOR)
    if odd.any():
        place = int(np.flatnonzero(odd)[0])
        raise InputError.at(
            f"{source}[{place}]",
            f"is {found[place]:g}, a slow device's factor must be from 1 to {MOST_FACTOR:g}",
        )
    return found


def read_quorum(value: Any, source: str, fleet: int) -> int | None:
    """Check how many of so many devices a round waits for; None if nothing is stated.

    Raises
    ------
    InputError
        It is no whole number from 1 to the number of devices.
    """
    if value is None:
        return None
    found = whole_number(value, source, 1)
    if found > fleet:
        raise InputError.at(
            source, f"is {shown(value)}, it must be at most the {fleet} devices there are"
        )
    return found


class WorstCase(NamedTuple):
    """What a plan takes at worst.

    Parameters
    ----------
    value
        The objective when the devices are slow that hurt most, in s.
    nominal
        The objective when none is slow.
    slowed
        Shape (N,), 0 to 1: how far each device is slow in a worst case of these shares.
    counted
        Shape (N,): the devices that the objective counts; a quorum leaves others out.
    sure
        Shape (N,): how far slow those that count must be expected for sure, to have this value.
    """

    value: float
    nominal: float
    slowed: FloatArray
    counted: BoolArray
    sure: FloatArray


def worst_sum(latency: FloatArray, more: FloatArray, slow: float, quorum: int) -> WorstCase:
    """Compute the largest sum of latencies over all sets of slow devices.

    The `quorum` devices that count are chosen before the slow ones are known, so as to make the
    worst case least. With L a device's latency (N,), infinite where it is left out, and M what it
    takes ``more`` when slow (N,), the worst case over at most G slow devices of a set is the sum of
    L and of the G largest M, which by linear programming duality is

        min over theta >= 0 of  G theta + sum_n (L_n + max(M_n - theta, 0)),

    attained where theta is 0 or one of the M (Bertsimas and Sim 2004, Theorem 1). For each theta
    the best set is that of the smallest summands.
    """
    size = len(latency)
    zeros = np.zeros(size)
    nothing = WorstCase(math.inf, math.inf, zeros, np.zeros(size, dtype=np.bool_), zeros)
    usable = np.flatnonzero(np.isfinite(latency))
    if len(usable) < quorum:
        return nothing
    chosen = usable
    if len(usable) > quorum:
        own, extra = latency[usable], more[usable]
        best = math.inf
        for theta in np.unique(np.append(extra, 0.0)):
            summands = own + np.maximum(extra - theta, 0.0)
            first = np.argpartition(summands, quorum - 1)[:quorum]
            if (value := float(slow * theta + summands[first].sum())) < best:
                best, chosen = value, usable[np.sort(first)]
    counted = np.zeros(size, dtype=np.bool_)
    counted[chosen] = True
    slowed = slowest(np.where(counted, more, 0.0), slow) * counted
    nominal = float(latency[chosen].sum())
    value = nominal + float(slowed[chosen] @ more[chosen])
    return WorstCase(value, nominal, slowed, counted, slowed)


def slowest(more: FloatArray, slow: float) -> FloatArray:
    """Shape (N,): 1 for the largest increments (N,), `slow` of them; a fraction for the next."""
    order = np.argsort(-more, kind="stable")
    part = np.zeros(len(more))
    part[order] = np.clip(slow - np.arange(len(more)), 0.0, 1.0)
    return part


def worst_makespan(latency: FloatArray, more: FloatArray, slow: float, quorum: int) -> WorstCase:
    """Compute the longest time until the first `quorum` devices are done, over all slow sets.

    The server goes on after whoever is first, so who is left out may depend on who is slow. Within
    a time T, a devices end if none is slow and b <= a even when they are. Slow devices spoil at
    most min(G, a - b), so that the quorum Q is met in time if and only if b >= Q or a >= Q + G:
    the worst case is the smaller of the Q-th smallest slowed latency and the (Q + G)-th smallest
    nominal one. Of a fraction G < 1 without a quorum one device is partly slow.
    """
    size = len(latency)
    if quorum == size:
        part = min(slow, 1.0)
        slowed = latency + part * more
        last = int(slowed.argmax())
        who = np.zeros(size)
        who[last] = part
        everyone = np.ones(size, dtype=np.bool_)
        sure = np.full(size, part)
        return WorstCase(float(slowed[last]), float(latency.max()), who, everyone, sure)
    in_order = np.argsort(latency, kind="stable")
    nominal, slowed = float(latency[in_order[quorum - 1]]), latency + more
    held = np.argsort(slowed, kind="stable")
    value, counted = float(slowed[held[quorum - 1]]), _first(held, quorum)
    sure = np.full(size, float(slow > 0))
    spare = quorum + int(slow)
    if spare <= size and (other := float(latency[in_order[spare - 1]])) < value:
        value, counted, sure = other, _first(in_order, spare), np.zeros(size)
    # The slow ones that spoil the most: in time by themselves, and late when slow.
    late = np.where((latency < value) & (slowed >= value), slowed, 0.0)
    return WorstCase(value, nominal, slowest(late, slow) * (late > 0), counted, sure)


def _first(order: Any, count: int) -> BoolArray:
    """Shape (N,): whether a device is among the first of an order."""
    found = np.zeros(len(order), dtype=np.bool_)
    found[order[:count]] = True
    return found
