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

    ``resources`` (3,) by the logarithms of downlink, uplink and server, ``own`` (N,) by that of
    each device's speed: 1 % more of one saves about a hundredth of the number. ``links`` (N, 2) by
    those of each device's own downlink and uplink, where links are not shared; ``resources`` is 0
    for them then.
    """

    resources: FloatArray
    own: FloatArray
    links: FloatArray


def marginal_values(problem: CutAndResourcesData, cuts: IntArray) -> Marginal:
    """Report what more of each resource would save of the objective, shares chosen anew."""
    download, upload, _, own_s = problem.chosen(cuts)
    saved, own, links = np.zeros(3), np.zeros(problem.devices), np.zeros((problem.devices, 2))
    price = 1.0 if problem.objective == "energy" else problem.seconds_per_joule
    if problem.objective in PRICED:
        assert price is not None  # read_fields() saw to it
        assert problem.device_w is not None
        assert problem.radio_w is not None
        sending = price * problem.radio_w * upload
        if problem.shared_links:
            saved[1] = sending.sum()
        else:
            links[:, 1] = sending
        own += price * problem.device_w * own_s
    if problem.objective != "energy":
        allocation = best_allocation(problem, cuts)
        saved += allocation.worth
        weight = allocation.weight * (1.0 if problem.priority is None else problem.priority)
        own += weight * own_s
        if not problem.shared_links:
            links += weight[:, None] * np.stack((download, upload), axis=1)
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
