"""Seconds per layer that were measured on a named machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.documents.fields import expect_keys, expect_name
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import Array, Mask, frozen_array, frozen_mask
from splitopt.profiles.table.interval import Interval

COLUMNS = ("forward_s", "backward_s", "update_s")


@dataclass(frozen=True, eq=False)
class MachineTimes:
    """What each layer costs on one machine, in seconds per sample.

    Parameters
    ----------
    forward_s, backward_s, update_s
        Arrays of shape ``(L,)``: the forward pass, the backward pass, and the sample's share of
        the weight update that follows a batch.
    measured
        Booleans of shape ``(L,)``: where it is false the layer was not measured and its times
        are 0 without meaning anything. A layer that was filled counts as measured; the
        ``fills`` of the profile's provenance say so.
    interval
        How far the seconds of a batch may lie from these; None where that is unknown.
    batch
        Samples in the batches that were timed; None where that is unknown.

    Raises
    ------
    InputError
        Shapes that differ, a negative number, or a time other than 0 in an unmeasured layer.
    """

    forward_s: Array
    backward_s: Array
    update_s: Array
    measured: Mask
    interval: Interval | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "measured", frozen_mask(self.measured, "measured"))
        for name in COLUMNS:
            array = frozen_array(getattr(self, name), name, len(self.measured))
            object.__setattr__(self, name, array)
            if np.any(array[~self.measured]):
                row = int(np.flatnonzero((array > 0) & ~self.measured)[0]) + 1
                raise InputError.at(name, f"entry {row} has a time but is not marked as measured")
        if self.batch is not None and not is_whole(self.batch, 1):
            raise InputError.at("batch", f"is {shown(self.batch)}; give a whole number >= 1")

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling forgets that an array is read-only; building anew restores it.
        return MachineTimes, tuple(getattr(self, item.name) for item in fields(self))

    @property
    def total_s(self) -> Array:
        """Forward, backward and update together, shape ``(L,)``."""
        return self.forward_s + self.backward_s + self.update_s

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        document: dict[str, Any] = {name: getattr(self, name).tolist() for name in COLUMNS}
        document["measured"] = self.measured.tolist()
        if self.interval is not None:
            document["interval"] = self.interval.to_dict()
        if self.batch is not None:
            document["batch"] = self.batch
        return document

    def scaled(self, factor: float) -> MachineTimes:
        """Return the times of a machine that takes `factor` times as long, without an interval."""
        return MachineTimes(
            factor * self.forward_s, factor * self.backward_s, factor * self.update_s, self.measured
        )

    @classmethod
    def from_dict(cls, document: Any, field: str) -> MachineTimes:
        """Read what `to_dict` wrote; raise `InputError` that starts with `field` otherwise."""
        found = dict(expect_keys(document, field, (*COLUMNS, "measured"), ("interval", "batch")))
        if found.get("interval") is not None:
            found["interval"] = Interval.from_dict(found["interval"], f"{field}.interval")
        try:
            return cls(**found)
        except InputError as error:
            raise InputError(f"{field}.{error}") from None


def check_machines(machines: Mapping[str, MachineTimes], layers: int) -> dict[str, MachineTimes]:
    """Return a copy of a profile's machines; reject a name, or times of other than all layers."""
    for name, times in machines.items():
        expect_name(name, "machines: a machine's name")
        if len(times.measured) != layers:
            raise InputError.at(
                f"machines.{name}", f"has {len(times.measured)} rows, but there are {layers} layers"
            )
    return dict(machines)


def times_of(machines: Mapping[str, MachineTimes], machine: str, owner: str) -> MachineTimes:
    """Return the times of a machine; raise `InputError` that names `owner` if there are none."""
    if machine not in machines:
        known = f"the machines are {', '.join(machines)}" if machines else "it has none"
        raise InputError(f"{owner} has no machine {machine!r}; {known}")
    return machines[machine]


def not_measured(times: MachineTimes, known: Mask, layers: Sequence[str]) -> str:
    """Return which layers are not `known` of a machine, and what to do about them."""
    mend = (
        "fill them with with_fill(machine, how), load_profile(name, fill=how) or 'fill' in "
        "the model of a scenario, where how is 'zero', 'flop_ratio' or {'machine': the "
        "name of another machine}"
        if times.measured.any()
        else "nothing was measured there, choose another machine"
    )
    return f"was not measured in {describe_rows(known, layers)}; {mend}"


def describe_rows(measured: Mask, layers: Sequence[str]) -> str:
    """Name the unmeasured rows, 1-based, as in ``rows 3 (pool1), 6-8 (conv3_1 to conv3_3)``."""
    gaps = np.flatnonzero(~measured)
    runs = np.split(gaps, np.flatnonzero(np.diff(gaps) > 1) + 1)
    parts = []
    for run in runs:
        first, last = int(run[0]), int(run[-1])
        if first == last:
            parts.append(f"{first + 1} ({layers[first]})")
        else:
            parts.append(f"{first + 1}-{last + 1} ({layers[first]} to {layers[last]})")
    return f"{'row' if gaps.size == 1 else 'rows'} {', '.join(parts)}"
