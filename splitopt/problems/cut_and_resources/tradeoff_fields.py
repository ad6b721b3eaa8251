"""The fields of priorities, energy and own links, see `tradeoffs`: checked and written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from splitopt.errors import InputError, shown
from splitopt.problems.arrays import number, number_table
from splitopt.problems.base import FloatArray
from splitopt.problems.ranges import check_factor

FIELDS = ("priority", "device_w", "radio_w", "seconds_per_joule", "shared_links")
_IN_SCENARIO = {
    "device_w": "compute_power of every device",
    "radio_w": "transmit_power of every device",
    "seconds_per_joule": "tradeoff.seconds_per_joule",
}
PRICED = ("energy", "latency_energy")
"""Objectives that need ``device_w`` and ``radio_w``."""


class Priced(Protocol):
    """What has the fields of priorities and energy."""

    @property
    def devices(self) -> int:
        """Number of devices N."""
        ...

    @property
    def objective(self) -> str:
        """What is asked for."""
        ...

    @property
    def priority(self) -> FloatArray | None:
        """Shape (N,): factors of latencies."""
        ...

    @property
    def device_w(self) -> FloatArray | None:
        """Shape (N,): power in W of computing."""
        ...

    @property
    def radio_w(self) -> FloatArray | None:
        """Shape (N,): power in W of sending."""
        ...

    @property
    def seconds_per_joule(self) -> float | None:
        """The price of energy."""
        ...

    @property
    def shared_links(self) -> bool | None:
        """Whether devices share their links."""
        ...


def read_fields(problem: Priced, energy: bool | None = None) -> dict[str, Any]:
    """Check the fields of priorities and energy and give them as arrays and a number.

    `energy` tells of choices whether their energies are known, which they have in place of powers.
    """
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
    if energy is not None:
        if needed and not energy:
            raise InputError.at(
                "energy_j",
                f"is missing, the objective {problem.objective!r} needs it (in a scenario: "
                "compute_power and transmit_power of every device)",
            )
        needed = needed[2:]
    for name in needed:
        if name not in found:
            raise InputError.at(
                name,
                f"is missing, the objective {problem.objective!r} needs it "
                f"(in a scenario: {_IN_SCENARIO[name]})",
            )
    return found


def stated_fields(problem: Priced) -> dict[str, Any]:
    """Return the fields that say more than what holds without them."""
    found = {name: getattr(problem, name) for name in FIELDS}
    if problem.shared_links:
        del found["shared_links"]
    return {name: value for name, value in found.items() if value is not None}


@contextmanager
def priced_range() -> Iterator[None]:
    """Reword the errors of numbers that leave a problem's range by priority, power and price."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"times its priority, power and price, {error}: give other units"
        ) from None
