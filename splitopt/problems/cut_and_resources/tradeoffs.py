"""More than latency: priorities, energy and links that nobody shares, each made plain seconds.

A device that computes for d seconds and sends for b seconds at its full rate spends
``device_w * d + radio_w * b`` joule: a share of the channel's time stretches the wait, not the
time on air. Energy therefore depends on the cut alone, and every objective here equals the sum or
the makespan of a problem with other tables, so that every solver takes it.

Where every device has a downlink and an uplink of its own, nobody's share divides their seconds:
they are a part of what the device does by itself, and nothing is left on the shared links.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np

from splitopt.latency.energy import device_energy
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources.completion import best_allocation
from splitopt.problems.cut_and_resources.data import CutAndResourcesData
from splitopt.problems.cut_and_resources.shares import Allocation
from splitopt.problems.cut_and_resources.tradeoff_fields import PRICED, priced_range

P = TypeVar("P", bound=CutAndResourcesData)


def energy_table(problem: CutAndResourcesData) -> FloatArray:
    """Shape (N, L): joule that a round costs the device at each cut."""
    assert problem.device_w is not None  # read_fields() saw to it
    assert problem.radio_w is not None
    watt, radio = problem.device_w[:, None], problem.radio_w[:, None]
    return np.asarray(device_energy(watt, problem.device_s, radio, problem.upload_s))


def energy_of(problem: CutAndResourcesData, seconds: FloatArray) -> FloatArray:
    """Shape (N,): joule of a round whose download, upload, server and device take these (4, N)."""
    assert problem.device_w is not None  # read_fields() saw to it
    assert problem.radio_w is not None
    return np.asarray(device_energy(problem.device_w, seconds[3], problem.radio_w, seconds[1]))


@np.errstate(over="ignore", under="ignore")  # what overflows is refused by its name
def plain_problem(problem: P) -> P | None:
    """Return the plain problem with the same decisions and values, None if it is plain already.

    Multiplying a device's tables by its priority multiplies its latency. Energy adds to the part
    that no share divides, and so do transfers over links that are the device's own. Pure energy
    has nothing that is shared.
    """
    if problem.objective not in PRICED and problem.priority is None and problem.shared_links:
        return None
    if problem.objective == "energy":
        nothing = np.zeros_like(problem.device_s)
        return _rebuilt(problem, "sum", (nothing, nothing, nothing, energy_table(problem)), None)
    factor = np.ones(problem.devices) if problem.priority is None else problem.priority
    tables = [
        factor[:, None] * table
        for table in (problem.download_s, problem.upload_s, problem.server_s, problem.device_s)
    ]
    curves = {
        family: factor[:, None, None] * coefficients
        for family, coefficients in (problem.curves or {}).items()
    }
    objective = problem.objective
    if objective == "latency_energy":
        assert problem.seconds_per_joule is not None  # read_fields() saw to it
        assert problem.device_w is not None
        assert problem.radio_w is not None
        objective, price = "sum", problem.seconds_per_joule
        tables[3] = tables[3] + price * energy_table(problem)
        for family, own in (problem.curves or {}).items():
            curves[family][:, 3] += price * (
                problem.device_w[:, None] * own[:, 3] + problem.radio_w[:, None] * own[:, 1]
            )
    if not problem.shared_links:
        tables[3] = tables[3] + tables[0] + tables[1]
        tables[:2] = np.zeros_like(tables[0]), np.zeros_like(tables[1])
        for own in curves.values():
            own[:, 3] += own[:, 0] + own[:, 1]
            own[:, :2] = 0.0
    return _rebuilt(problem, objective, tuple(tables), curves or None)


class Marginal(NamedTuple):
    """Exact derivatives of the optimal value for given cuts, with the opposite sign.

    ``resources`` (R,) by the logarithms of the shared resources, of cuts downlink, uplink and
    server, ``own`` (N,) by that of each device's speed: 1 % more of one saves about a hundredth of
    the number. ``links`` (N, 2) by those of each device's own downlink and uplink, where links are
    not shared; ``resources`` is 0 for them then.
    """

    resources: FloatArray
    own: FloatArray
    links: FloatArray


def marginal_values(problem: CutAndResourcesData, cuts: IntArray) -> Marginal:
    """Report what more of each resource would save of the objective, shares chosen anew."""
    allocation = None if problem.objective == "energy" else best_allocation(problem, cuts)
    return marginal_parts(problem, problem.chosen(cuts), allocation)


def marginal_parts(
    problem: CutAndResourcesData,
    seconds: FloatArray,
    allocation: Allocation | None,
    group: IntArray | slice = slice(None),
    devices: IntArray | float = 1.0,
) -> Marginal:
    """Report what more of each resource would save, with a row for each of K parts.

    Parameters
    ----------
    seconds
        Shape (R + 1, K): of a device of each part, at the full resource; own ones are the last.
    allocation
        The best shares of the parts, None for ``"energy"``, which they do not change.
    group
        Shape (K,): the rows of priorities and powers that are the parts'; by default part k has
        row k.
    devices
        Shape (K,): how many devices each part has, one by default.
    """
    own_s = seconds[-1]
    saved, own = np.zeros(len(problem.resources)), np.zeros(len(own_s))
    links = np.zeros((len(own_s), 2))
    price = 1.0 if problem.objective == "energy" else problem.seconds_per_joule
    if problem.objective in PRICED:
        assert price is not None  # read_fields() saw to it
        assert problem.device_w is not None
        assert problem.radio_w is not None
        sending = devices * price * problem.radio_w[group] * seconds[1]
        if problem.shared_links:
            saved[1] = sending.sum()
        else:
            links[:, 1] = sending
        own += devices * price * problem.device_w[group] * own_s
    if allocation is not None:
        saved += allocation.worth
        priority = 1.0 if problem.priority is None else problem.priority[group]
        weight = allocation.weight * priority
        own += weight * own_s
        if not problem.shared_links:
            links += weight[:, None] * seconds[:2].T
    return Marginal(saved, own, links)


def _rebuilt(
    problem: P,
    objective: str,
    tables: tuple[FloatArray, ...],
    curves: dict[str, FloatArray] | None,
) -> P:
    """Return the plain problem with these four tables and the same cuts, weights and budgets."""
    download, upload, server, device = tables
    with priced_range():
        return type(problem)(
            download_s=download,
            upload_s=upload,
            server_s=server,
            device_s=device,
            allowed=problem.allowed,
            objective=objective,
            weights=problem.weights,
            curves=curves,
            budgets=problem.budgets,
        )
