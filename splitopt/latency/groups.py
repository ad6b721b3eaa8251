"""The devices of a scenario by group, as columns, and the seconds of their rounds as factors.

Nothing here has an entry for every single device of a group, and nothing is built for a row of a
large file: a fleet of 10^8 alike devices in 20 groups is 20 rows, one of 10^6 different devices is
a dozen arrays of that length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.latency.layer_seconds import SpeedSource
from splitopt.latency.radio import shannon_rate
from splitopt.latency.split_federated import (
    Exchanged,
    RoundSetting,
    device_seconds_per_sample,
    full_resource_seconds,
    link_rate,
    server_seconds_per_sample,
    single_server,
)
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.tied import exchanged_bytes, has_copies
from splitopt.scenario import Scenario
from splitopt.scenario.device_columns import BARE, DeviceColumns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Way = Literal["downlink", "uplink"]


@dataclass(frozen=True, eq=False)
class FleetGroups:
    """G groups of alike devices; a number that is not stated is NaN.

    Parameters
    ----------
    names
        Of the groups.
    count
        Shape (G,): how many devices each has; those below have shape (G,) too.
    samples, batch_size
        Of a device.
    compute
        FLOP/s, NaN where the speed is that of one of the ``machines``.
    machine, machines
        Which of the measured machines or machine models it is, -1 for none.
    memory
        In byte.
    downlink, uplink
        Rates in bit/s at the full resource.
    compute_power, transmit_power
        In W.
    priority, leakage_limit
        The device's own.
    """

    names: Sequence[str]
    count: IntArray
    samples: FloatArray
    batch_size: FloatArray
    compute: FloatArray
    machine: IntArray
    machines: tuple[SpeedSource, ...]
    memory: FloatArray
    downlink: FloatArray
    uplink: FloatArray
    compute_power: FloatArray
    transmit_power: FloatArray
    priority: FloatArray
    leakage_limit: FloatArray

    def __len__(self) -> int:
        """Return the number of groups G."""
        return len(self.count)

    @property
    def devices(self) -> int:
        """Number of devices of all groups."""
        return int(self.count.sum())


def groups_of(scenario: Scenario) -> FleetGroups:
    """Return the groups of a scenario: its entries, or the rows of its file."""
    devices = scenario.devices
    if isinstance(devices, DeviceColumns):
        return _of_columns(scenario, devices)
    down = [scenario.link(device, "downlink") for device in devices]
    up = [scenario.link(device, "uplink") for device in devices]
    speeds = [device.speed for device in devices]
    machines = tuple(dict.fromkeys(s for s in speeds if not isinstance(s, float | int)))
    place: dict[Any, int] = {machine: k for k, machine in enumerate(machines)}
    return FleetGroups(
        names=[device.name for device in devices],
        count=np.array([device.count for device in devices], dtype=np.int64),
        compute=_column(device.compute for device in devices),
        machine=np.array([place.get(speed, -1) for speed in speeds], dtype=np.int64),
        machines=machines,
        downlink=np.array([link_rate(link) for link in down]),
        uplink=np.array([link_rate(link) for link in up]),
        transmit_power=_column(link.transmit_power for link in up),
        **{
            name: _column(getattr(device, name) for device in devices)
            for name in (
                "samples",
                "batch_size",
                "memory",
                "compute_power",
                "priority",
                "leakage_limit",
            )
        },
    )


def _column(values: Any) -> FloatArray:
    """Return numbers, NaN for None."""
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _of_columns(scenario: Scenario, devices: DeviceColumns) -> FleetGroups:
    down, up = (_rates(scenario, devices, way) for way in ("downlink", "uplink"))
    machines, machine = devices.machines()
    return FleetGroups(
        names=devices.names,
        count=devices.counts,
        machine=machine,
        machines=machines,
        downlink=down.rate,
        uplink=up.rate,
        transmit_power=up.power,
        **{
            name: devices.column(name)
            for name in (
                "samples",
                "batch_size",
                "compute",
                "memory",
                "compute_power",
                "priority",
                "leakage_limit",
            )
        },
    )


class _Radio(NamedTuple):
    rate: FloatArray
    power: FloatArray


def _rates(scenario: Scenario, devices: DeviceColumns, way: Way) -> _Radio:
    """Return rates and powers as `Scenario.link` has them for each row, all rows at once."""
    base = scenario.link(BARE, way)
    own = devices.column(way)
    snr, gain = devices.column("snr"), devices.column("channel_gain")
    none = np.full(len(devices), np.nan)
    power = devices.column("transmit_power") if way == "uplink" else none
    signal = ~np.isnan(gain) | ~np.isnan(power)
    used = np.where(np.isnan(power), _or_nan(base.transmit_power), power)
    if base.rate is not None:
        rate = np.full(len(devices), base.rate)
    else:
        band = _or_nan(base.bandwidth)
        ratio = np.where(np.isnan(gain), _or_nan(base.channel_gain), gain)
        ratio = used * ratio / (band * _or_nan(base.noise_density))
        if base.snr is not None:
            ratio = np.where(signal, ratio, base.snr)
        rate = shannon_rate(band, np.where(np.isnan(snr), ratio, snr))
    stated = ~np.isnan(own)
    sent = np.where(stated | ~np.isnan(snr), power, used)
    found = np.where(stated, own, rate)
    bad = ~((found > 0) & np.isfinite(found))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"devices: {devices.names[row]} has no {way} rate: give a column '{way} [Mbit/s]' with "
            f"a number in every row, or state links.{way}"
        )
    return _Radio(found, sent)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


class PhaseFactors(NamedTuple):
    """Seconds of one phase: sum_k scales[k, group] * shapes[k, cut], (K, G) and (K, L)."""

    scales: FloatArray
    shapes: FloatArray


def phase_factors(
    groups: FleetGroups, scenario: Scenario, profile: ModelProfile
) -> tuple[PhaseFactors, ...]:
    """Return download, upload, server and device seconds at the full resource as factors.

    `full_resource_seconds` is linear in what depends on the cut: its values at unit vectors are
    the scales.

    Raises
    ------
    InputError
        As for `phase_seconds`.
    """
    server = single_server(scenario)
    setting = RoundSetting(groups.samples, scenario.training.epochs, groups.downlink, groups.uplink)
    model, smashed, gradient, device, work = (
        [np.asarray(part) for part in full_resource_seconds(u[0], u[1], u[2], u[3], u[4], setting)]
        for u in np.eye(5)
    )
    down = [(model[0], profile.device_model_bytes), (gradient[0], profile.gradient_bytes)]
    up = [(model[1], profile.device_model_bytes), (smashed[1], profile.smashed_bytes)]
    if has_copies(profile):
        size = exchanged_bytes(profile)
        steps = _mini_batches(groups, scenario)
        beside = full_resource_seconds(0, 0, 0, 0, 0, setting, Exchanged(steps, steps - 1))
        down.append((beside[0], size))
        up.append((beside[1], size))
    own = [
        (np.where(groups.machine == k, device[3], 0.0), device_seconds_per_sample(profile, speed))
        for k, speed in enumerate(groups.machines)
    ]
    stated = groups.machine < 0
    if stated.any():
        one = device_seconds_per_sample(profile, 1.0)
        speed = np.where(stated, groups.compute, 1.0)
        own.append((np.where(stated, device[3] / speed, 0.0), one))
    served = [(work[2], server_seconds_per_sample(profile, server.speed))]
    return tuple(_stacked(terms, len(groups)) for terms in (down, up, served, own))


def _stacked(terms: list[tuple[FloatArray, FloatArray]], size: int) -> PhaseFactors:
    scales = np.array([np.broadcast_to(scale, (size,)) for scale, _ in terms])
    return PhaseFactors(scales, np.array([shape for _, shape in terms], dtype=np.float64))


def _mini_batches(groups: FleetGroups, scenario: Scenario) -> FloatArray:
    """Shape (G,): mini-batches of a round; without a batch size an epoch is one."""
    size = np.where(np.isnan(groups.batch_size), groups.samples, groups.batch_size)
    return scenario.training.epochs * np.ceil(groups.samples / size)


def sketched(scenario: Scenario, groups: FleetGroups) -> Scenario:
    """Return a scenario with a few of the devices, which says what there is in the fleet at all.

    Of devices in a file it has those with the least and the most of each number, one that states
    it and one that does not, and one of each machine; others are returned as they are.
    """
    devices = scenario.devices
    if not isinstance(devices, DeviceColumns):
        return scenario
    rows = set(devices.telling_rows())
    for rate in (groups.downlink, groups.uplink):
        rows |= {int(rate.argmin()), int(rate.argmax())}
    return scenario._with(devices=tuple(devices[row] for row in sorted(rows)))
