"""A machine as a few numbers: seconds per unit of what the operators of a layer do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.documents.fields import (
    expect_keys,
    expect_mapping,
    expect_name,
    expect_number,
    expect_texts,
)
from splitopt.documents.json_text import expect_format, read_json
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.interval import Interval
from splitopt.profiles.table.operator_counts import FEATURES
from splitopt.storage.writing import write_json

FORMAT, VERSION = "splitopt-machine", 1
_REQUIRED = ("format", "version", "name", "batch", "seconds_per")
_OPTIONAL = ("message_s", "interval", "fitted_on", "notes")


@dataclass(frozen=True)
class MachineModel:
    """Seconds of a layer as a sum over what its operators do.

    The seconds of a batch are, for each column of `FEATURES`, its count for that batch times the
    seconds per unit: FLOP of convolutions, of depthwise convolutions and of matrix products, bytes
    moved per sample and per batch, and operators.

    Parameters
    ----------
    name
        The machine's name.
    batch
        Samples in a batch, over which weights and operators are shared.
    seconds_per
        Shape of `FEATURES`: seconds per unit, 0 where it costs nothing; not all 0.
    message_s
        Seconds that the machine spends on sending or receiving a message, whatever its size.
    interval
        How far real seconds may lie from these; None where that is unknown.
    fitted_on
        Names of the networks that it was fitted to.
    notes
        What a careful reader has to know.

    Raises
    ------
    InputError
        A number that is negative or not finite, a batch below 1, or seconds that are all 0.
    """

    name: str
    batch: int
    seconds_per: tuple[float, ...]
    message_s: float = 0.0
    interval: Interval | None = None
    fitted_on: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expect_name(self.name, "name")
        if not is_whole(self.batch, 1):
            raise InputError.at("batch", f"is {shown(self.batch)}; give a whole number >= 1")
        values = tuple(self.seconds_per)
        if len(values) != len(FEATURES):
            raise InputError.at(
                "seconds_per", f"has {len(values)} numbers; give one for each of {len(FEATURES)}"
            )
        found = [
            expect_number(value, f"seconds_per.{name}", 0)
            for name, value in zip(FEATURES, values, strict=True)
        ]
        if not any(found):
            raise InputError.at("seconds_per", "is 0 throughout; a machine takes time")
        object.__setattr__(self, "seconds_per", tuple(found))
        object.__setattr__(self, "message_s", expect_number(self.message_s, "message_s", 0))
        object.__setattr__(self, "fitted_on", expect_texts(self.fitted_on, "fitted_on"))
        object.__setattr__(self, "notes", expect_texts(self.notes, "notes"))

    @property
    def coefficients(self) -> Array:
        """Shape (6,): `seconds_per` as an array."""
        return np.array(self.seconds_per)

    def scaled(self, factor: float) -> MachineModel:
        """Return the machine that takes `factor` times as long, without an interval."""
        return replace(
            self,
            seconds_per=tuple(factor * value for value in self.seconds_per),
            message_s=factor * self.message_s,
            interval=None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the content of a machine file; what costs nothing is left out."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "batch": self.batch,
            "seconds_per": {
                name: value
                for name, value in zip(FEATURES, self.seconds_per, strict=True)
                if value > 0
            },
            "message_s": self.message_s,
        }
        if self.interval is not None:
            document["interval"] = self.interval.to_dict()
        if self.fitted_on:
            document["fitted_on"] = list(self.fitted_on)
        if self.notes:
            document["notes"] = list(self.notes)
        return document

    @classmethod
    def from_dict(cls, document: Any, source: str) -> MachineModel:
        """Read what `to_dict` wrote; an ``interval`` of null is an unknown one.

        Raises
        ------
        InputError
            Another format or version, a missing or unknown key, or a value that does not fit;
            the message starts with `source`.
        """
        found = expect_format(document, source, FORMAT, VERSION)
        expect_keys(found, source, _REQUIRED, _OPTIONAL)
        try:
            stated = expect_mapping(found["seconds_per"], "seconds_per")
            expect_keys(stated, "seconds_per", (), FEATURES)
            interval = found.get("interval")
            return cls(
                name=found["name"],
                batch=found["batch"],
                seconds_per=tuple(stated.get(name, 0.0) for name in FEATURES),
                message_s=found.get("message_s", 0.0),
                interval=None if interval is None else Interval.from_dict(interval, "interval"),
                fitted_on=found.get("fitted_on", ()),
                notes=found.get("notes", ()),
            )
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write the model as a JSON file; raise `InputError` if that is not possible."""
        write_json(path, self.to_dict(), indent=1)

    @classmethod
    def load(cls, path: str | Path) -> MachineModel:
        """Read a model from a JSON file; raise `InputError` if it is not one."""
        return cls.from_dict(read_json(path), str(path))

    def sentence(self) -> str:
        """State the machine's rates and the interval in one sentence."""
        rates: Mapping[str, str] = {
            "convolution_flop": "{:.3g} GFLOP/s in convolutions",
            "depthwise_flop": "{:.3g} GFLOP/s in depthwise convolutions",
            "matrix_flop": "{:.3g} GFLOP/s in matrix products",
            "moved_bytes": "{:.3g} GB/s of activations",
            "fixed_bytes": "{:.3g} GB/s of weights",
        }
        parts = [
            rates[name].format(1e-9 / value)
            for name, value in zip(FEATURES, self.seconds_per, strict=True)
            if value > 0 and name in rates
        ]
        if self.seconds_per[-1] > 0:
            parts.append(f"{1e6 * self.seconds_per[-1]:.3g} us per operator")
        if self.message_s > 0:
            parts.append(f"{1e3 * self.message_s:.3g} ms per message")
        known = (
            "how far real seconds may lie from these is unknown"
            if self.interval is None
            else f"real seconds are {self.interval.low:.3g} to {self.interval.high:.3g} times as "
            f"long in {100 * self.interval.level:.0f} % of cases"
        )
        return f"{self.name}: {', '.join(parts)}; {known}"
