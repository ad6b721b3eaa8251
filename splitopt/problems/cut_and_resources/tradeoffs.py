"""More than latency: priorities, energy and links that nobody shares, each made plain seconds.

A device that computes for d seconds and sends for b seconds at its full rate spends
``device_w * d + radio_w * b`` joule: a share of the channel's time stretches the wait, not the
time on air. Energy therefore depends on the cut alone, and every objective here equals the sum or
the makespan of a problem with other tables, so that every solver takes it.

Where every device has a downlink and an uplink of its own, nobody's share divides their seconds:
they are a part of what the device does by itself, and nothing is left on the shared links.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from splitopt.errors import InputError, shown
from splitopt.problems.arrays import number, number_table
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.ranges import check_factor

if TYPE_CHECKING:
    from splitopt.problems.cut_and_resources.problem import CutAndResources

FIELDS = ("priority", "device_w", "radio_w", "seconds_per_joule", "shared_links")
_IN_SCENARIO = {
    "device_w": "compute_power of every device",
    "radio_w": "transmit_power of every device",
    "seconds_per_joule": "tradeoff.seconds_per_joule",
}
PRICED = ("energy", "latency_energy")
"""Objectives that need ``device_w`` and ``radio_w``."""


def read_fields(problem: CutAndResources) -> dict[str, Any]:
    """Check the fields of priorities and energy and give them as arrays and a number."""
    found: dict[str, Any] = {}
    shape = (problem.devices,)
    for name, unit in (
        ("priority", "factors above 0"),
        ("device_w", "power in W"),
        ("radio_w", "power in W"),
    ):
        if getattr(problem, name) is not None:
            found[name] = number_table(getattr(problem, name), name, unit, shape)
            check_factor(found[name], name)
    if "priority" in found and not (found["priority"] > 0).all():
        place = int(np.flatnonzero(found["priority"] == 0)[0])
        raise InputError.at(f"priority[{place}]", "is 0, a priority must be above 0")
    price = problem.seconds_per_joule
    if price is not None:
        found["seconds_per_joule"] = number(price, "seconds_per_joule", "s for 1 J")
        check_factor(found["seconds_per_joule"], "seconds_per_joule")
    shared = problem.shared_links
    if shared is None:  # not stated
        found["shared_links"] = True
    elif not isinstance(shared, bool | np.bool_):
        raise InputError.at("shared_links", f"is {shown(shared)}, it must be true or false")
    else:
        found["shared_links"] = bool(shared)
    needed = {"energy": FIELDS[1:3], "latency_energy": FIELDS[1:4]}.get(problem.objective, ())
    for name in needed:
        if name not in found:
            raise InputError.at(
                name,
                f"is missing, the objective {problem.objective!r} needs it "
                f"(in a scenario: {_IN_SCENARIO[name]})",
            )
    return found


def stated_fields(problem: CutAndResources) -> dict[str, Any]:
    """Return the fields that say more than what holds without them."""
    found = {name: getattr(problem, name) for name in FIELDS}
    if problem.shared_links:
        del found["shared_links"]
    return {name: value for name, value in found.items() if value is not None}


def energy_table(problem: CutAndResources) -> FloatArray:
    """Shape (N, L): joule that a round costs the device at each cut."""
    assert problem.device_w is not None  # read_fields() saw to it
    assert problem.radio_w is not None
    return np.asarray(
        problem.device_w[:, None] * problem.device_s + problem.radio_w[:, None] * problem.upload_s
    )


def energy_of(problem: CutAndResources, seconds: FloatArray) -> FloatArray:
    """Shape (N,): joule of a round whose download, upload, server and device take these (4, N)."""
    assert problem.device_w is not None  # read_fields() saw to it
    assert problem.radio_w is not None
    return np.asarray(problem.device_w * seconds[3] + problem.radio_w * seconds[1])


@np.errstate(over="ignore", under="ignore")  # what overflows is refused by its name
def plain_problem(problem: CutAndResources) -> CutAndResources | None:
    """Give the plain problem with the same decisions and values, None if it is plain already.

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


def marginal_values(problem: CutAndResources, cuts: IntArray) -> Marginal:
    """Say what more of each resource would save of the objective, shares chosen anew."""
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
        allocation = problem.allocate(cuts)
        saved += allocation.worth
        weight = allocation.weight * (1.0 if problem.priority is None else problem.priority)
        own += weight * own_s
        if not problem.shared_links:
            links += weight[:, None] * np.stack((download, upload), axis=1)
    return Marginal(saved, own, links)


def _rebuilt(
    problem: CutAndResources,
    objective: str,
    tables: tuple[FloatArray, ...],
    curves: dict[str, FloatArray] | None,
) -> CutAndResources:
    download, upload, server, device = tables
    with priced_range():
        return _plain(problem, objective, (download, upload, server, device), curves)


@contextmanager
def priced_range() -> Iterator[None]:
    """Say of numbers that leave the range of a problem that factors took them there."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"times its priority, power and price, {error}: give other units"
        ) from None


def _plain(
    problem: CutAndResources,
    objective: str,
    tables: tuple[FloatArray, ...],
    curves: dict[str, FloatArray] | None,
) -> CutAndResources:
    download, upload, server, device = tables
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
