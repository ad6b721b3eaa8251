"""`Generator`: samples that are drawn by a seed from distributions or a trace of rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splitopt.distributions import (
    LEVEL,
    POSITIVE,
    Distribution,
    distribution_from_data,
    generator,
    require_finite_mean_latency,
    uniforms,
)
from splitopt.documents.checks import is_integer
from splitopt.errors import InputError, shown
from splitopt.problems.arrays import number_table
from splitopt.problems.base import FloatArray, check_keys
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cut_under_uncertainty.blocks import Blocks, read_stacked

FADING = ("awgn", "rayleigh")
_REQUIRED = ("samples", "seed", "nominal")
MOST_SAMPLES = 1_000_000
"""Samples of one problem: a decision has clusters and subcarriers for each of them."""
_OPTIONAL = (
    "compute",
    "nominal_compute",
    "snr_db",
    "nominal_snr_db",
    "downlink_offset_db",
    "fading",
    "trace",
)
_COMPUTE, _CHANNEL, _ROUND = range(3)
"""Numbers of the quantities in the key of a draw."""

_MANY = 2**26
"""Streams from here on are drawn many rounds at once."""


@dataclass(frozen=True, eq=False)
class Generator:
    """Rounds whose speeds and channels are drawn around a nominal round.

    Device n with speed f takes ``nominal_compute[n] / f`` times its nominal seconds forward and
    backward, and at a signal-to-noise ratio s the rate's ratio times its nominal seconds on air
    (CPSL Eq. 14-23). All cuts of a sample see the same draw.

    Parameters
    ----------
    nominal
        Blocks with the axis cut.
    samples, seed
        J and the seed of all draws. Sample j of stream s depends on (seed, s, j) only.
    compute, nominal_compute
        Distribution of the speeds, and the speeds (N,) of the nominal round in the same unit.
    snr_db, nominal_snr_db
        The same of the uplink's signal-to-noise ratio of one subcarrier, in dB.
    downlink_offset_db
        Shape (N,): how much higher the downlink's ratio is; the channel itself is the same.
    fading
        ``"awgn"`` or ``"rayleigh"``, see `splitopt.latency.radio.subcarrier_rate`.
    trace
        Instead of distributions: ``compute`` and ``snr_db``, shape (R, N), of R measured rounds,
        which are taken as a whole, so that what belongs together stays together. The samples of
        stream 0 repeat none before all were there: R of them are the trace itself.

    Raises
    ------
    InputError
        A value that does not fit, or a distribution with an infinite mean latency.
    """

    nominal: Blocks
    samples: int
    seed: int = 0
    compute: Distribution | None = None
    nominal_compute: FloatArray | None = None
    snr_db: Distribution | None = None
    nominal_snr_db: FloatArray | None = None
    downlink_offset_db: FloatArray | None = None
    fading: str = "awgn"
    trace: Mapping[str, FloatArray] | None = None

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("seed", 0)):
            value = getattr(self, name)
            if not is_integer(value) or value < least:
                raise InputError.at(
                    name, f"is {shown(value)}, it must be a whole number >= {least}"
                )
            object.__setattr__(self, name, int(value))
        if self.samples > MOST_SAMPLES:
            raise InputError.at(
                "samples",
                f"is {self.samples:,}, at most {MOST_SAMPLES:,} are held; take fewer, a solver "
                "draws more by itself",
            )
        if not isinstance(self.fading, str) or self.fading not in FADING:
            raise InputError.at(
                "fading", f"is {shown(self.fading)}, it must be {' or '.join(FADING)}"
            )
        for name, signed in (("compute", False), ("snr_db", True)):
            self._check_quantity(name, signed)
        offset = self.downlink_offset_db
        if offset is None:
            offset = np.zeros(self.nominal.devices)
        shape = (self.nominal.devices,)
        offset = number_table(offset, "downlink_offset_db", "dB", shape, signed=True)
        object.__setattr__(self, "downlink_offset_db", offset)
        if self.trace is not None:
            object.__setattr__(self, "trace", self._read_trace(self.trace))
        if self.compute is None and self.snr_db is None and self.trace is None:
            raise InputError("nothing varies; give 'compute', 'snr_db' or 'trace'")

    def _check_quantity(self, name: str, signed: bool) -> None:
        distribution: Distribution | None = getattr(self, name)
        field, devices = f"nominal_{name}", self.nominal.devices
        nominal = getattr(self, field)
        if nominal is not None:
            nominal = number_table(nominal, field, name, (devices,), signed=signed)
            if not signed and (nominal <= 0).any():
                raise InputError.at(field, "has an entry of 0; a nominal speed is above 0")
            object.__setattr__(self, field, nominal)
        if distribution is None:
            return
        if self.trace is not None:
            raise InputError.at(name, "and 'trace' are both given; keep one")
        if nominal is None:
            raise InputError.at(name, f"needs {field!r}, what the nominal seconds are at")
        if distribution.devices not in (None, devices):
            raise InputError.at(
                name, f"has parameters of {distribution.devices} devices, there are {devices}"
            )
        require_finite_mean_latency(distribution, LEVEL if signed else POSITIVE, name)

    def _read_trace(self, trace: Any) -> dict[str, FloatArray]:
        found: dict[str, FloatArray] = {}
        rounds = -1
        for name, table in check_keys(trace, (), ("compute", "snr_db"), "trace").items():
            if getattr(self, f"nominal_{name}") is None:
                raise InputError.at("trace", f"has {name!r}, which needs 'nominal_{name}'")
            source, shape = f"trace.{name}", (rounds, self.nominal.devices)
            found[name] = number_table(table, source, name, shape, signed=name == "snr_db")
            rounds = len(found[name])
            if name == "compute" and (found[name] <= 0).any():
                raise InputError.at(source, "has an entry of 0, whose latency is infinite")
        if not found:
            raise InputError.at("trace", "is empty; it needs 'compute' or 'snr_db'")
        return found

    @property
    def endless(self) -> bool:
        """Other streams give as many further samples as one likes."""
        return True

    def draw(self, index: int, stream: int = 0) -> dict[str, FloatArray]:
        """Draw ``compute`` and ``snr_db`` of one sample, shape (N,), where they vary."""
        if self.trace is not None:
            row = self.trace_row(index, stream)
            return {name: table[row] for name, table in self.trace.items()}
        found = {}
        for number, name in ((_COMPUTE, "compute"), (_CHANNEL, "snr_db")):
            distribution: Distribution | None = getattr(self, name)
            if distribution is not None:
                u = uniforms(self.seed, (stream, index, number), self.nominal.devices)
                found[name] = distribution.quantile(u)
        return found

    def trace_row(self, index: int, stream: int = 0) -> int:
        """Return which measured round a sample is."""
        assert self.trace is not None
        rounds = len(next(iter(self.trace.values())))
        if stream:
            return int(uniforms(self.seed, (stream, index, _ROUND), 1)[0] * rounds)
        return int(generator(self.seed, 0, _ROUND).permutation(rounds)[index % rounds])

    def draw_many(self, stream: int, count: int) -> dict[str, FloatArray]:
        """Draw ``compute`` and ``snr_db`` of many rounds at once, shape (count, N).

        They depend on the seed, the stream and their number only, and are not the samples of any
        stream.
        """
        assert self.trace is None
        found = {}
        for number, name in ((_COMPUTE, "compute"), (_CHANNEL, "snr_db")):
            distribution: Distribution | None = getattr(self, name)
            if distribution is not None:
                key = (_MANY + stream, number)
                u = uniforms(self.seed, key, (count, self.nominal.devices))
                found[name] = distribution.quantile(u)
        return found

    def finite(self, most: int) -> dict[str, FloatArray] | None:
        """Return all rounds that there are, equally likely, as arrays of shape (R, N).

        The rounds of a trace, or every combination of the devices' values where they are finitely
        many; None where there are more than `most` combinations, or infinitely many.
        """
        if self.trace is not None:
            return dict(self.trace)
        devices = self.nominal.devices
        columns: list[FloatArray] = []
        names = [n for n in ("compute", "snr_db") if getattr(self, n) is not None]
        for name in names:
            atoms = getattr(self, name).atoms(devices)
            if atoms is None:
                return None
            columns += atoms
        count = 1
        for column in columns:
            count *= len(column)
            if count > most:
                return None
        table, left = np.empty((count, len(columns))), np.arange(count)
        for place, column in enumerate(columns):  # the digits of a round's number
            table[:, place] = column[left % len(column)]
            left = left // len(column)
        return {name: table[:, i * devices : (i + 1) * devices] for i, name in enumerate(names)}

    def ends(self) -> tuple[Blocks, Blocks]:
        """Return the round with every device at its best, and that with every one at its worst.

        Latency falls with every speed and every ratio, so that no round that can be drawn is
        shorter than the first or longer than the second.
        """
        assert self.trace is None
        best, worst = {}, {}
        for name in ("compute", "snr_db"):
            distribution: Distribution | None = getattr(self, name)
            if distribution is not None:
                worst[name], best[name] = distribution.ends(self.nominal.devices)
        return self.at(**best), self.at(**worst)

    def sample(self, index: int, stream: int = 0) -> Blocks:
        """Return one sample, a block per cut."""
        return self.at(**self.draw(index, stream))

    def expected(self) -> Blocks:
        """Return the round in which speeds and decibels have their mean values."""
        if self.trace is not None:
            return self.at(**{name: table.mean(axis=0) for name, table in self.trace.items()})
        drawn = {"compute": self.compute, "snr_db": self.snr_db}
        shape = (self.nominal.devices,)
        return self.at(
            **{
                name: np.broadcast_to(distribution.expectation(), shape)
                for name, distribution in drawn.items()
                if distribution is not None
            }
        )

    def of_cut(self, cut: int) -> Generator:
        """Return the same rounds under one cut alone."""
        return replace(self, nominal=self.nominal[cut : cut + 1])

    def at(self, compute: FloatArray | None = None, snr_db: FloatArray | None = None) -> Blocks:
        """Return the round, a block per cut, of these speeds and signal-to-noise ratios (N,).

        Of many rounds, shape (R, N), the answer has the axes round and cut.
        """
        factors: dict[str, Any] = {}
        if compute is not None:
            assert self.nominal_compute is not None
            factors |= dict.fromkeys(("forward_s", "backward_s"), self.nominal_compute / compute)
        if snr_db is not None:
            assert self.nominal_snr_db is not None
            assert self.downlink_offset_db is not None
            up = self._rate(self.nominal_snr_db) / self._rate(snr_db)
            offset = self.downlink_offset_db
            down = self._rate(self.nominal_snr_db + offset) / self._rate(snr_db + offset)
            factors |= dict.fromkeys(("upload_smashed_s", "upload_model_s"), up)
            factors |= dict.fromkeys(("broadcast_s", "download_gradient_s"), down)
        return self.nominal.scaled(factors)

    def block(
        self, cut: int, compute: FloatArray | None = None, snr_db: FloatArray | None = None
    ) -> ClusterAndSpectrum:
        """Return the round of measured speeds and ratios under one cut."""
        return self.at(compute, snr_db)[cut].single()

    def _rate(self, snr_db: FloatArray) -> FloatArray:
        from splitopt.latency.radio import subcarrier_rate

        return np.asarray(subcarrier_rate(1.0, 10.0 ** (snr_db / 10.0), self.fading))  # type: ignore[arg-type]

    def data(self) -> dict[str, Any]:
        """Return the part of the instance file."""
        found: dict[str, Any] = {
            "samples": self.samples,
            "seed": self.seed,
            "nominal": self.nominal.data(),
            "fading": self.fading,
        }
        for name in ("nominal_compute", "nominal_snr_db", "downlink_offset_db"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name)
        for name in ("compute", "snr_db"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name).to_data()
        if self.trace is not None:
            found["trace"] = dict(self.trace)
        return {"generator": found}


def read_generator(data: Any, cuts: int, source: str) -> Generator:
    """Read the ``generator`` of an instance file.

    Raises
    ------
    InputError
        A field is missing or unknown, or a value does not fit; the message names it.
    """
    checked = dict(check_keys(data, _REQUIRED, _OPTIONAL, source))
    checked["nominal"] = read_stacked(checked["nominal"], (cuts,), ("cut",), f"{source}.nominal")
    for name in ("compute", "snr_db"):
        if checked.get(name) is not None:
            checked[name] = distribution_from_data(checked[name], f"{source}.{name}")
    for name in ("samples", "seed"):
        if isinstance(checked[name], float) and checked[name].is_integer():
            checked[name] = int(checked[name])
    try:
        return Generator(**checked)
    except InputError as error:
        raise InputError(f"{source}.{error}") from None
