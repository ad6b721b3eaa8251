"""The section ``distributions``: how speeds and channels vary from round to round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from splitopt.distributions import (
    LEVEL,
    POSITIVE,
    Constant,
    Distribution,
    Empirical,
    Lognormal,
    Normal,
    Uniform,
    read_column,
    read_trace,
    require_finite_mean_latency,
)
from splitopt.errors import InputError
from splitopt.scenario.machine import Count, Name, Part
from splitopt.scenario.quantity import NUMBER, WHOLE, Speed

COMPUTE, SNR = "compute_flop_per_s", "snr_db"
"""Columns of a trace file."""

Kind = Literal["constant", "normal", "lognormal", "uniform", "empirical"]
Outside = Literal["redraw", "clip"]
Decibel = Annotated[float, Field(ge=-1000, le=1000), NUMBER]


class SpeedVariation(Part):
    """How the speed of every device varies; ``mean`` is the device's own speed by default.

    ``std`` is absolute, ``std_relative`` a fraction of the mean. A normal needs ``low``, its
    truncation above 0, without which the mean latency is infinite.
    """

    kind: Kind
    mean: Speed | None = None
    std: Speed | None = None
    std_relative: Annotated[float, Field(gt=0, le=1e9), NUMBER] | None = None
    low: Speed | None = None
    high: Speed | None = None
    outside: Outside = "redraw"
    values: Annotated[tuple[Speed, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        _check_fields(
            self,
            {
                "normal": ("mean", "std", "std_relative", "low", "high", "outside"),
                "lognormal": ("mean", "std", "std_relative"),
                "uniform": ("low", "high"),
                "empirical": ("values",),
                "constant": ("mean",),
            },
        )
        if self.kind in ("normal", "lognormal") and (self.std is None) == (
            self.std_relative is None
        ):
            raise InputError(f"{self.kind} needs either 'std' or 'std_relative'")
        self.distribution(np.array(1.0 if self.mean is None else self.mean), check_only=True)
        return self

    def distribution(self, nominal: Any, check_only: bool = False) -> Distribution:
        """Return the distribution of devices with these nominal speeds in FLOP/s."""
        mean = nominal if self.mean is None else np.full(np.shape(nominal), self.mean)
        std = self.std if self.std is not None else (self.std_relative or 0.0) * mean
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        if self.kind == "normal" and check_only:
            # Only now without the devices' own speeds: the limits' distance from them is open.
            require_finite_mean_latency(
                Normal(max(low, 1.0), 1.0, low, high, self.outside), POSITIVE, "compute", "FLOP/s"
            )
        if check_only:
            return Constant(1.0)
        found: Distribution
        if self.kind == "normal":
            found = Normal(mean, std, low, high, self.outside)
        elif self.kind == "lognormal":
            found = Lognormal(mean, std)
        elif self.kind == "uniform":
            found = Uniform(self.low, self.high)
        elif self.kind == "empirical":
            found = Empirical(self.values)
        else:
            found = Constant(mean)
        return found


class LevelVariation(Part):
    """How the signal-to-noise ratio varies, in dB; ``mean_db`` is the device's own by default.

    A shadowed channel, lognormal in power, is ``normal`` here.
    """

    kind: Literal["constant", "normal", "uniform", "empirical"]
    mean_db: Decibel | None = None
    std_db: Annotated[float, Field(gt=0, le=1000), NUMBER] | None = None
    low_db: Decibel | None = None
    high_db: Decibel | None = None
    outside: Outside = "redraw"
    values_db: Annotated[tuple[Decibel, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        _check_fields(
            self,
            {
                "normal": ("mean_db", "std_db", "low_db", "high_db", "outside"),
                "uniform": ("low_db", "high_db"),
                "empirical": ("values_db",),
                "constant": ("mean_db",),
            },
        )
        if self.kind == "normal" and self.std_db is None:
            raise InputError("normal needs 'std_db'")
        return self

    def distribution(self, nominal: Any) -> Distribution:
        """Return the distribution of devices with these nominal ratios in dB."""
        mean = nominal if self.mean_db is None else np.full(np.shape(nominal), self.mean_db)
        low = -np.inf if self.low_db is None else self.low_db
        high = np.inf if self.high_db is None else self.high_db
        found: Distribution
        if self.kind == "normal":
            found = Normal(mean, self.std_db, low, high, self.outside)
        elif self.kind == "uniform":
            found = Uniform(self.low_db, self.high_db)
        elif self.kind == "empirical":
            found = Empirical(self.values_db)
        else:
            found = Constant(mean)
        require_finite_mean_latency(found, LEVEL, "distributions.snr")
        return found


class MeasuredRounds(Part):
    """Rounds in which all devices were measured: R rows of N numbers.

    In a file, ``trace`` may name a CSV file instead, with the columns ``round``, ``device`` and
    ``compute_flop_per_s`` or ``snr_db`` or both.
    """

    devices: Annotated[tuple[Name, ...], Field(min_length=1)]
    compute_flop_per_s: tuple[tuple[Annotated[float, Field(gt=0), NUMBER], ...], ...] | None = None
    snr_db: tuple[tuple[Decibel, ...], ...] | None = None


class Distributions(Part):
    """What varies: by distributions, or by rounds that were measured.

    ``samples`` is how many rounds a cut is judged on, ``seed`` that of their draws.
    """

    samples: Count = 100
    seed: Annotated[int, Field(ge=0), WHOLE] = 0
    compute: SpeedVariation | None = None
    snr: LevelVariation | None = None
    trace: MeasuredRounds | None = None

    @model_validator(mode="after")
    def _varies(self) -> Self:
        own = self.compute is not None or self.snr is not None
        if own == (self.trace is not None):
            raise InputError("needs either 'compute' or 'snr' (or both), or 'trace'")
        return self


def with_files_read(document: Any, folder: Path) -> Any:
    """Put the content of the CSV files that ``distributions`` names in the place of their names.

    So a scenario, and a plan made of it, needs no other file. ``trace: FILE`` becomes
    `MeasuredRounds`; ``{kind: empirical, file: FILE, column: NAME}`` becomes its values, in FLOP/s
    for ``compute`` and in dB for ``snr``.
    """
    section = document.get("distributions") if isinstance(document, Mapping) else None
    if not isinstance(section, Mapping):
        return document
    section = dict(section)
    if isinstance(section.get("trace"), str):
        trace = read_trace(folder / section["trace"], (COMPUTE, SNR))
        tables = {name: table.tolist() for name, table in trace.values.items()}
        section["trace"] = {"devices": list(trace.devices), **tables}
    for name, field in (("compute", "values"), ("snr", "values_db")):
        part = section.get(name)
        if isinstance(part, Mapping) and "file" in part:
            rest = {key: value for key, value in part.items() if key not in ("file", "column")}
            column = part.get("column")
            if not isinstance(column, str) or not isinstance(part["file"], str):
                raise InputError.at(
                    f"distributions.{name}", "needs 'file' and 'column', both of them names"
                )
            numbers = read_column(folder / part["file"], column)
            values = [f"{x!r} FLOP/s" for x in numbers] if name == "compute" else numbers
            section[name] = {**rest, field: values}
    return {**document, "distributions": section}


def _check_fields(part: Part, kinds: Mapping[str, tuple[str, ...]]) -> None:
    """Reject fields that the kind does not use, and a kind that lacks what it needs."""
    kind: str = part.kind  # type: ignore[attr-defined]
    for name, value in part:
        default = type(part).model_fields[name].default
        if name != "kind" and value != default and name not in kinds[kind]:
            raise InputError(f"{kind} does not use {name!r}; it uses {', '.join(kinds[kind])}")
        needed = kind in ("uniform", "empirical") and name in kinds[kind]
        if needed and value is None:
            raise InputError(f"{kind} needs {name!r}")
