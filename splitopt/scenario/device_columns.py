"""Devices given as columns rather than entries: a row for each device or group of alike ones.

A file of many rows, and the plan that is made of it, keep columns of numbers. A row is made a
`Device` where somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from splitopt import units
from splitopt.documents.packed import pack_if_long, pack_texts
from splitopt.scenario.parts import Device, Link

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TEXTS = ("name", "machine")
QUANTITIES = {
    "compute": "compute speed",
    "memory": "size",
    "compute_power": "power",
    "transmit_power": "power",
    "downlink": "rate",
    "uplink": "rate",
}
"""Column -> the kind of its quantity, whose unit stands in the header."""


class Limits(NamedTuple):
    """What the numbers of a column may be; those of a whole column have no fraction."""

    least: float
    most: float
    whole: bool = False


PLAIN = {
    "count": Limits(1, 1e9, whole=True),
    "samples": Limits(1, 1e9, whole=True),
    "batch_size": Limits(1, 1e9, whole=True),
    "channel_gain": Limits(5e-324, 1.7e308),
    "snr": Limits(5e-324, 1.7e308),
    "priority": Limits(1e-9, 1e9),
    "leakage_limit": Limits(0, 1),
}
"""Column without a unit -> its limits."""
BARE = Device.model_construct(name="any", compute=1.0, samples=1)
"""A device that states nothing of its links."""


@dataclass(frozen=True, eq=False)
class DeviceColumns(Sequence[Device]):
    """N rows of devices, each one device or a group of ``count`` alike ones.

    Parameters
    ----------
    names
        Of the rows, all different.
    numbers
        Field of a device -> shape (N,), in SI units; NaN where a row does not state it.
    machine
        The measured machines of the rows, ``""`` where a row states ``compute``; None for none.
    """

    names: Sequence[str]
    numbers: Mapping[str, FloatArray]
    machine: Sequence[str] | None = None
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DeviceColumns) or set(self.numbers) != set(other.numbers):
            return False
        return (
            list(self.names) == list(other.names)
            and (self.machine or []) == (other.machine or [])
            and all(
                np.array_equal(numbers, other.numbers[name], equal_nan=True)
                for name, numbers in self.numbers.items()
            )
        )

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, row: int) -> Device: ...

    @overload
    def __getitem__(self, row: slice) -> tuple[Device, ...]: ...

    def __getitem__(self, row: int | slice) -> Device | tuple[Device, ...]:
        """Return a row as a device, or some rows."""
        if isinstance(row, slice):
            return tuple(self[k] for k in range(*row.indices(len(self))))
        stated: dict[str, Any] = {"name": self.names[row]}
        for name, numbers in self.numbers.items():
            number = float(numbers[row])
            if number == number:
                stated[name] = int(number) if name in PLAIN and PLAIN[name].whole else number
        if self.machine is not None and self.machine[row]:
            stated["machine"] = self.machine[row]
        for way in ("downlink", "uplink"):
            if way in stated:
                stated[way] = Link.model_construct(rate=stated[way])
        return Device.model_construct(**stated)

    def __iter__(self) -> Iterator[Device]:
        return (self[row] for row in range(len(self)))

    def column(self, name: str) -> FloatArray:
        """Shape (N,): the numbers of a field, NaN where it is not stated."""
        if name in self.numbers:
            return self.numbers[name]
        return np.full(len(self), np.nan)

    @cached_property
    def counts(self) -> IntArray:
        """Shape (N,): how many devices each row stands for."""
        if "count" not in self.numbers:
            return np.ones(len(self), dtype=np.int64)
        count = self.numbers["count"]
        return np.where(np.isnan(count), 1, count).astype(np.int64)

    def machines(self) -> tuple[tuple[str, ...], IntArray]:
        """Return the measured machines, and which of them each row is, shape (N,), -1 for none."""
        if self.machine is None:
            return (), np.full(len(self), -1, dtype=np.int64)
        kinds = tuple(dict.fromkeys(name for name in self.machine if name))
        place = {name: k for k, name in enumerate(kinds)} | {"": -1}
        return kinds, np.array([place[name] for name in self.machine], dtype=np.int64)

    def telling_rows(self) -> list[int]:
        """Return a few rows that say what there is: ends of every column, stated and not stated."""
        rows = {0}
        for numbers in self.numbers.values():
            known = ~np.isnan(numbers)
            if not known.all():
                rows.add(int(np.flatnonzero(~known)[0]))
            if known.any():
                rows |= {int(np.nanargmin(numbers)), int(np.nanargmax(numbers))}
        _, machine = self.machines()
        rows |= {int(row) for row in np.unique(machine, return_index=True)[1]}
        return sorted(rows)

    def lacking_rate(self, base: Link, way: str) -> IntArray:
        """Return the rows whose link in one direction has no rate and too little to compute one."""
        if base.rate is not None:
            return np.empty(0, dtype=np.int64)
        power = self.column("transmit_power") if way == "uplink" else self.column("")
        gain = self.column("channel_gain")
        signal = np.full(len(self), base.noise_density is not None)
        signal &= ~np.isnan(power) | (base.transmit_power is not None)
        signal &= ~np.isnan(gain) | (base.channel_gain is not None)
        if base.snr is not None:
            signal |= np.isnan(power) & np.isnan(gain)
        signal |= ~np.isnan(self.column("snr"))
        known = ~np.isnan(self.column(way)) | (signal & (base.bandwidth is not None))
        return np.flatnonzero(~known)

    def to_plain(self) -> dict[str, Any]:
        """Return the columns as plain data, in SI units that stand in their names."""
        columns: dict[str, Any] = {"name": pack_texts(self.names)}
        if self.machine is not None:
            columns["machine"] = pack_texts(self.machine)
        for name, numbers in self.numbers.items():
            kind = QUANTITIES.get(name)
            header = name if kind is None else f"{name} [{units.KINDS[kind].unit}]"
            whole = name in PLAIN and PLAIN[name].whole
            exact = numbers.astype(np.int64) if whole and not np.isnan(numbers).any() else numbers
            columns[header] = _listed(pack_if_long(exact))
        return {"columns": columns}

    def entries(self) -> list[dict[str, Any]]:
        """Return the rows as entries of a scenario's document."""
        return [device.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
                for device in self]  # fmt: skip


def _listed(values: Any) -> Any:
    """Return a list with None where nothing is stated, as JSON has no NaN; packed data as it is."""
    if not isinstance(values, list):
        return values
    return [None if value != value else value for value in values]
