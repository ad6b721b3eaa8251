"""The numbers of a fleet with what happened to it: a problem whose rows change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.planning.control.events import (
    DeviceJoins,
    DeviceLeaves,
    DeviceSlows,
    Event,
    RateChanges,
    ServerGoes,
    ServerSlows,
)
from splitopt.problems.arrays import boolean_table, number_table
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.choices import ChoicesData
from splitopt.problems.cut_and_resources.data import TIMES
from splitopt.solvers.cut_and_resources.warm import WarmTables
from splitopt.solvers.cut_and_resources.warm.tables import rows_of

_EXACT_AFTER = 32
"""Events of servers after which all numbers are computed anew, so that rounding stays small."""
_PER_DEVICE = ("priority", "device_w", "radio_w")


class Refused(Exception):  # noqa: N818 - an event that is kept out is no error of ours
    """Raised where an event is about nothing that is known; the message says what."""


class FleetState:
    """A fleet of N devices, those that left included.

    Parameters
    ----------
    problem
        The fleet as it was planned.
    names
        Of its devices.
    """

    def __init__(self, problem: CutAndResources, names: Sequence[str]) -> None:
        self.problem = problem
        self.names = list(names)
        self.index = {name: n for n, name in enumerate(self.names)}
        self.resources = problem.resources
        self._choices = isinstance(problem, ChoicesData)
        self._work = np.array(problem.work_s, order="C")
        own = problem.own_s if self._choices else problem.device_s
        self._own, self._allowed = np.array(own), np.array(problem.allowed)
        self._optional = {
            name: np.array(getattr(problem, name))
            for name in _PER_DEVICE
            if getattr(problem, name) is not None
        }
        self.rates = np.ones((len(self.names), len(self.resources)))
        self.speed = np.ones(len(self.names))
        self.server = np.ones(len(self.resources))
        self._scaled = 0
        self._devices: tuple[str, ...] | None = None
        self.gone = np.zeros(len(self.resources), dtype=np.bool_)
        roots, own_plain = rows_of(problem.plain)
        here = np.ones(len(self.names), dtype=np.int64)
        self.tables = WarmTables(problem.plain.objective, roots, own_plain, here)

    @property
    def here(self) -> IntArray:
        """Indices (M,) of the devices that take part."""
        return np.flatnonzero(self.tables.here)

    @property
    def devices(self) -> tuple[str, ...]:
        """Names (M,) of the devices that take part."""
        if self._devices is None:
            self._devices = tuple(np.array(self.names, dtype=object)[self.here].tolist())
        return self._devices

    def stuck(self, rows: Sequence[int] | IntArray | None) -> IntArray:
        """Return the indices of devices that take part and have no allowed cut, among some rows.

        All are looked at while a server is gone.
        """
        if rows is None or self.gone.any():
            listed = self.here
        else:
            some = np.unique(np.asarray(rows, dtype=np.int64))
            listed = some[self.tables.here[some] > 0]
        return listed[~np.isfinite(self.tables.own[listed]).any(axis=1)]

    def take(self, event: Event) -> list[int] | None:
        """Note an event; return the rows that changed, None for all.

        Raises
        ------
        Refused
            It is about a device or resource that is not known; nothing was changed.
        InputError
            The numbers of a new device do not fit.
        """
        if isinstance(event, ServerSlows | ServerGoes):
            return self._serve(event)
        if isinstance(event, DeviceJoins):
            return self._join(event)
        row = self._row(event.device)
        if isinstance(event, DeviceLeaves):
            self.tables.here[row], self._devices = 0, None
            return []
        if isinstance(event, DeviceSlows):
            self.speed[row] = event.factor
        elif isinstance(event, RateChanges):
            columns = [self._resource(name) for name in event.factors]
            self.rates[row, columns] = list(event.factors.values())
        return [row]

    def refresh(self, rows: Sequence[int] | IntArray | None) -> None:
        """Compute the plain numbers of some rows anew, of all if None."""
        listed = np.arange(len(self.names)) if rows is None else np.unique(np.asarray(rows, int))
        if not len(listed):
            return
        found = self.changed(listed).plain
        self.tables.roots[listed], self.tables.own[listed] = rows_of(found)

    def changed(self, rows: IntArray, *, with_budgets: bool = False) -> CutAndResources:
        """Return the problem of some devices (M,) with what happened to them."""
        work = self._work[rows] / (self.rates[rows, None, :] * self.server)
        own = self._own[rows] / self.speed[rows, None]
        allowed = self._allowed[rows] & ~(work[:, :, self.gone] > 0).any(axis=2)
        budgets = None
        if with_budgets and self.problem.budgets is not None:
            if len(self.names) != self.problem.devices:
                raise InputError.at("budgets", "are not known for devices that join")
            budgets = [
                {**entry, "use": entry["use"][rows]} for entry in self.problem.budgets.data()
            ]
        if self._choices:
            return CutAndResources.of_choices(
                work,
                own,
                self.problem.objective,
                resources=self.resources,
                allowed=allowed,
                budgets=budgets,
            )
        optional: dict[str, Any] = {name: each[rows] for name, each in self._optional.items()}
        return CutAndResources(
            work[:, :, 0],
            work[:, :, 1],
            work[:, :, 2],
            own,
            allowed,
            self.problem.objective,
            **optional,
            seconds_per_joule=self.problem.seconds_per_joule,
            shared_links=self.problem.shared_links,
            budgets=budgets,  # type: ignore[arg-type]
        )

    def _serve(self, event: ServerSlows | ServerGoes) -> list[int] | None:
        """Note what a server does; where it only is faster or slower its roots are scaled."""
        resource = self._resource(event.resource)
        if isinstance(event, ServerGoes):
            self.gone[resource] = True
            return None
        back, before = bool(self.gone[resource]), self.server[resource]
        self.gone[resource], self.server[resource] = False, event.factor
        self._scaled += 1
        if back or self._scaled % _EXACT_AFTER == 0:
            return None
        self.tables.roots[:, :, resource] *= np.sqrt(before / event.factor)
        return []

    def _row(self, name: str) -> int:
        row = self.index.get(name)
        if row is None:
            hint = did_you_mean(name, self.names)
            raise Refused(f"the device {shown(name)} is unknown{hint}")
        if not self.tables.here[row]:
            raise Refused(f"the device {shown(name)} takes no part")
        return row

    def _resource(self, name: str) -> int:
        if name not in self.resources:
            hint = did_you_mean(name, self.resources)
            known = ", ".join(self.resources)
            raise Refused(f"the resource {shown(name)} is unknown, there are {known}{hint}")
        return self.resources.index(name)

    def _join(self, event: DeviceJoins) -> list[int]:
        row = self.index.get(event.device)
        if row is not None:
            if self.tables.here[row]:
                raise Refused(f"the device {shown(event.device)} takes part already")
            if event.numbers is not None:
                self._write(row, self._read(event))
            self.tables.here[row], self._devices = 1, None
            return [row]
        if event.numbers is None:
            raise Refused(
                f"the device {shown(event.device)} is unknown, and its numbers are not given"
            )
        if self.problem.budgets is not None:
            raise Refused(f"what {shown(event.device)} uses of the budgets is not known")
        found = self._read(event)
        self._append(event.device)
        self._write(len(self.names) - 1, found)
        return [len(self.names) - 1]

    def _read(self, event: DeviceJoins) -> tuple[FloatArray, FloatArray, Any, Mapping[str, float]]:
        """Check a new device's numbers: work (L, R), own (L,), allowed (L,) and the optional."""
        given, place = dict(event.numbers or {}), f"numbers of {event.device}"
        layers, shared = self._own.shape[1], len(self.resources)
        needed = ("work_s", "own_s") if self._choices else TIMES
        for name in needed:
            if name not in given:
                raise InputError.at(place, f"the field {name!r} is missing")
        known = (*needed, "allowed", *self._optional)
        for name in given:
            if name not in known:
                raise InputError.at(
                    place, f"the field {shown(name)} is unknown; known are {', '.join(known)}"
                )
        if self._choices:
            work = number_table(given["work_s"], f"{place}.work_s", "times in s", (layers, shared))
        else:
            rows = [
                number_table(given[name], f"{place}.{name}", "times in s", (layers,))
                for name in TIMES[:-1]
            ]
            work = np.stack(rows, axis=1)
        own = number_table(given[needed[-1]], f"{place}.{needed[-1]}", "times in s", (layers,))
        allowed = given.get("allowed")
        allowed = np.ones(layers, dtype=np.bool_) if allowed is None else allowed
        mask = boolean_table(allowed, f"{place}.allowed", (layers,))
        optional = {}
        for name in self._optional:
            if name not in given:
                raise InputError.at(place, f"the field {name!r} is missing: others have it")
            optional[name] = float(number_table(given[name], f"{place}.{name}", "a number"))
        return work, own, mask, optional

    def _write(
        self, row: int, found: tuple[FloatArray, FloatArray, Any, Mapping[str, float]]
    ) -> None:
        self._work[row], self._own[row], self._allowed[row] = found[:3]
        self.rates[row], self.speed[row] = 1.0, 1.0
        for name, value in found[3].items():
            self._optional[name][row] = value

    def _append(self, name: str) -> None:
        """Make room for one more device, which takes part."""
        self._devices = None
        self.names.append(name)
        self.index[name] = len(self.names) - 1
        self._work, self._own, self._allowed, self.rates, self.speed = (
            _longer(array)
            for array in (self._work, self._own, self._allowed, self.rates, self.speed)
        )
        self._optional = {key: _longer(value) for key, value in self._optional.items()}
        old = self.tables
        here = np.append(old.here, 1)
        self.tables = WarmTables(old.objective, _longer(old.roots), _longer(old.own), here)


def _longer(array: Any) -> Any:
    return np.concatenate((array, array[-1:]))
