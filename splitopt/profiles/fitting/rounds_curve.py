"""A measured curve of rounds: how many a training takes to a target, and where that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from splitopt.documents.checks import is_whole
from splitopt.documents.fields import (
    expect_keys,
    expect_mapping,
    expect_name,
    expect_number,
    expect_text,
    expect_texts,
)
from splitopt.documents.json_text import expect_format, read_json
from splitopt.errors import InputError, shown
from splitopt.storage.writing import write_json

FORMAT, VERSION = "splitopt-rounds-curve", 1
CONSTANTS = ("rounds", "batch_factor", "interval_exponent")
"""R0, c1 and c2 of R = R0 (1 + c1 m) I^(c2 s(l))."""
BOX = ("batch_size", "aggregation_interval", "parameter_share")
_REQUIRED = ("format", "version", "name", "metric", "target", *CONSTANTS, "calibrated", "step_rule")
_OPTIONAL = ("ranges", "median_error", "reference_runs", "convergence_bound", "runs", "notes")


class Range(NamedTuple):
    """From a least to a largest value."""

    low: float
    high: float

    @classmethod
    def read(cls, value: Any, source: str, least: float = 0.0) -> Range:
        """Read a pair of numbers that does not fall."""
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise InputError.at(source, f"is {shown(value)}; give two numbers, low and high")
        low, high = (expect_number(end, f"{source}[{i}]", least) for i, end in enumerate(value))
        if low > high:
            raise InputError.at(source, f"falls from {low:g} to {high:g}; give low, then high")
        return cls(low, high)

    def holds(self, value: float) -> bool:
        """Whether a value is in it."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class RoundsCurve:
    """The curve R0 (1 + c1 m) I^(c2 s(l)), for one model, data, fleet and step rule.

    Here m is the mean of 1 / batch size over the devices, I the steps between two aggregations and
    s(l) the square root of the fraction of the parameters in the layers up to the largest cut.

    Parameters
    ----------
    name
        What was calibrated.
    metric, target
        What a training ends at, such as ``test_loss`` and 0.3.
    rounds, batch_factor, interval_exponent
        R0, c1 and c2.
    calibrated
        Between which batch sizes, aggregation intervals and parameter shares it was measured.
    devices
        How many devices took part; c1 belongs to that number.
    step_rule
        The optimizer's options, to which c1 belongs.
    ranges
        Of each constant, the least and largest of separate fits to each seed; None with one seed.
    median_error
        Median relative error of the curve on the runs that it was fitted to.
    reference_runs
        What calibrating cost, in runs of the reference plan to the target.
    convergence_bound
        Constants of the bound of HASFL and AdaptSFL, where they were measured; its second moments
        are by cut.
    runs
        The runs, as plain data.
    notes
        What a careful reader has to know.

    Raises
    ------
    InputError
        A number that does not fit, named.
    """

    name: str
    metric: str
    target: float
    rounds: float
    batch_factor: float
    interval_exponent: float
    calibrated: Mapping[str, Range]
    devices: int
    step_rule: Mapping[str, Any]
    ranges: Mapping[str, Range] | None = None
    median_error: float | None = None
    reference_runs: float | None = None
    convergence_bound: Mapping[str, Any] | None = None
    runs: tuple[Mapping[str, Any], ...] = field(default=())
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expect_name(self.name, "name")
        expect_text(self.metric, "metric")
        put = object.__setattr__
        put(self, "target", expect_number(self.target, "target"))
        for name in CONSTANTS:
            put(self, name, expect_number(getattr(self, name), name, 0.0))
        if self.rounds == 0:
            raise InputError.at("rounds", "is 0, and a training takes some; measure it again")
        if not is_whole(self.devices, 1):
            raise InputError.at("devices", f"is {shown(self.devices)}; give a whole number >= 1")
        for name in ("median_error", "reference_runs"):
            if (value := getattr(self, name)) is not None:
                put(self, name, expect_number(value, name, 0.0))
        put(self, "notes", expect_texts(self.notes, "notes"))
        put(self, "step_rule", dict(expect_mapping(self.step_rule, "step_rule")))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the content of a curve file."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "metric": self.metric,
            "target": self.target,
            **{name: getattr(self, name) for name in CONSTANTS},
            "calibrated": {
                **{name: list(self.calibrated[name]) for name in BOX},
                "devices": self.devices,
            },
            "step_rule": dict(self.step_rule),
        }
        if self.ranges is not None:
            document["ranges"] = {name: list(self.ranges[name]) for name in CONSTANTS}
        for name in ("median_error", "reference_runs", "convergence_bound"):
            if (value := getattr(self, name)) is not None:
                document[name] = value
        for name in ("runs", "notes"):
            if value := getattr(self, name):
                document[name] = list(value)
        return document

    @classmethod
    def from_dict(cls, document: Any, source: str) -> RoundsCurve:
        """Read what `to_dict` wrote.

        Raises
        ------
        InputError
            Another format or version, a missing or unknown key, or a value that does not fit;
            the message starts with `source`.
        """
        found = expect_format(document, source, FORMAT, VERSION)
        lacking = [name for name in CONSTANTS if name not in found]
        if lacking:
            raise InputError.at(
                source, f"lacks {', '.join(lacking)}; 'splitopt calibrate' measures them"
            )
        expect_keys(found, source, _REQUIRED, _OPTIONAL)
        try:
            box = expect_keys(found["calibrated"], "calibrated", (*BOX, "devices"))
            runs = found.get("runs", [])
            if not isinstance(runs, list):
                raise InputError.at("runs", f"is {shown(runs)}; give a list of runs")
            given = found.get("ranges")
            bound = found.get("convergence_bound")
            return cls(
                calibrated={name: Range.read(box[name], f"calibrated.{name}") for name in BOX},
                devices=box["devices"],
                ranges=None if given is None else _ranges(given),
                convergence_bound=None
                if bound is None
                else dict(expect_mapping(bound, "convergence_bound")),
                runs=tuple(expect_mapping(run, f"runs[{i}]") for i, run in enumerate(runs)),
                **{
                    name: found[name]
                    for name in ("name", "metric", "target", *CONSTANTS, "step_rule")
                },
                **{
                    name: found[name]
                    for name in ("median_error", "reference_runs", "notes")
                    if name in found
                },
            )
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write the curve as a JSON file; raise `InputError` if that is not possible."""
        write_json(path, self.to_dict(), indent=1)

    @classmethod
    def load(cls, path: str | Path) -> RoundsCurve:
        """Read a curve from a JSON file; raise `InputError` if it is not one."""
        return cls.from_dict(read_json(path), str(path))

    def sentence(self) -> str:
        """State the curve and how well it fits in one sentence."""
        fits = (
            ""
            if self.median_error is None
            else (f", {100 * self.median_error:.0f} % off on the median run it was fitted to")
        )
        return (
            f"{self.name}: {self.rounds:.4g} (1 + {self.batch_factor:.3g} m) "
            f"I^({self.interval_exponent:.3g} s) rounds to {self.metric} {self.target:g}{fits}"
        )


def _ranges(value: Any) -> dict[str, Range]:
    found = expect_keys(value, "ranges", CONSTANTS)
    return {name: Range.read(found[name], f"ranges.{name}") for name in CONSTANTS}
