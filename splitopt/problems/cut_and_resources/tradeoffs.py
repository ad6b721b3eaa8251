"""More than latency: priorities and energy, each turned into a plain problem of seconds.

A device that computes for d seconds and sends for b seconds at its full rate spends
``device_w * d + radio_w * b`` joule: a share of the channel's time stretches the wait, not the
time on air. Energy therefore depends on the cut alone, and every objective here equals the sum or
the makespan of a problem with other tables, so that every solver takes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import number_table
from splitopt.problems.base import FloatArray, IntArray

if TYPE_CHECKING:
    from splitopt.problems.cut_and_resources.problem import CutAndResources

FIELDS = ("priority", "device_w", "radio_w", "seconds_per_joule")
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
    if "priority" in found and not (found["priority"] > 0).all():
        place = int(np.flatnonzero(found["priority"] == 0)[0])
        raise InputError.at(f"priority[{place}]", "is 0, a priority must be above 0")
    price = problem.seconds_per_joule
    if price is not None:
        number = isinstance(price, int | float | np.number) and not isinstance(price, bool)
        if not number or not 0 <= price < np.inf:
            raise InputError.at("seconds_per_joule", f"is {price!r}, it must be finite and >= 0")
        found["seconds_per_joule"] = float(price)
    needed = {"energy": FIELDS[1:3], "latency_energy": FIELDS[1:]}.get(problem.objective, ())
    for name in needed:
        if name not in found:
            raise InputError.at(
                name,
                f"is missing, the objective {problem.objective!r} needs it "
                f"(in a scenario: {_IN_SCENARIO[name]})",
            )
    return found


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


def plain_problem(problem: CutAndResources) -> CutAndResources | None:
    """Give the plain problem with the same decisions and values, None if it is plain already.

    Multiplying a device's tables by its priority multiplies its latency. Energy adds to the part
    that no share divides. Pure energy has nothing that is shared.
    """
    if problem.objective not in PRICED and problem.priority is None:
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
    return _rebuilt(problem, objective, tuple(tables), curves or None)


class Marginal(NamedTuple):
    """Exact derivatives of the optimal value for given cuts, with the opposite sign.

    ``resources`` (3,) by the logarithms of downlink, uplink and server, ``own`` (N,) by that of
    each device's speed: 1 % more of one saves about a hundredth of the number.
    """

    resources: FloatArray
    own: FloatArray


def marginal_values(problem: CutAndResources, cuts: IntArray) -> Marginal:
    """Say what more of each resource would save of the objective, shares chosen anew."""
    rows = np.arange(problem.devices)
    own_s = problem.device_s[rows, cuts - 1]
    saved, own = np.zeros(3), np.zeros(problem.devices)
    price = 1.0 if problem.objective == "energy" else problem.seconds_per_joule
    if problem.objective in PRICED:
        assert price is not None  # read_fields() saw to it
        assert problem.device_w is not None
        assert problem.radio_w is not None
        saved[1] = price * (problem.radio_w * problem.upload_s[rows, cuts - 1]).sum()
        own += price * problem.device_w * own_s
    if problem.objective != "energy":
        allocation = problem.allocate(cuts)
        saved += allocation.worth
        own += allocation.weight * own_s * (1.0 if problem.priority is None else problem.priority)
    return Marginal(saved, own)


def _rebuilt(
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
