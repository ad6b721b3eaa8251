"""From a scenario with a spectrum to the seconds of `splitopt.latency.clustered`."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.clustered import CutCosts, DeviceSeconds, device_seconds
from splitopt.latency.layer_seconds import SpeedSource, layer_seconds, message_seconds
from splitopt.latency.radio import subcarrier_rate
from splitopt.latency.split_federated import server_seconds_per_sample, single_server
from splitopt.profiles import MachineModel, ModelProfile
from splitopt.profiles.counting.tied import exchanged_bytes
from splitopt.scenario import Clusters, Device, Scenario, Spectrum


def cell_of(scenario: Scenario) -> tuple[Spectrum, Clusters]:
    """Return the sections that training in clusters needs.

    Raises
    ------
    InputError
        One of them is missing.
    """
    if scenario.spectrum is None or scenario.clusters is None:
        raise InputError(
            "training in clusters needs the sections 'spectrum' (subcarriers and their bandwidth) "
            "and 'clusters' (their size and the cut); add what is missing"
        )
    return scenario.spectrum, scenario.clusters


def cut_index(profile: ModelProfile, cut: int | str, place: str = "clusters.cut") -> int:
    """Turn a cut of a scenario, a number of layers or a layer's name, into 1..L.

    Raises
    ------
    InputError
        It is ``auto``, or the model has no such cut.
    """
    if cut == "auto":
        raise InputError.at(
            place,
            "is 'auto', but this problem takes the cut as given; name the last layer on the "
            f"devices ({', '.join(profile.layers)}) or their number",
        )
    if isinstance(cut, str):
        if cut not in profile.layers:
            known = ", ".join(profile.layers)
            raise InputError.at(place, f"is {cut!r}, the layers are {known}")
        return profile.layers.index(cut) + 1
    if cut > profile.layer_count:
        raise InputError.at(place, f"is {cut}, {profile.name} has {profile.layer_count} layers")
    return cut


def cell_seconds(
    scenario: Scenario,
    profile: ModelProfile,
    cut: int,
    *,
    speed: Any = None,
    snr: Any = None,
    xp: ModuleType = np,
) -> DeviceSeconds:
    """Seconds of every device at a cut (CPSL Eq. 14-23); the server's is one number.

    Where mini-batches differ, the server's seconds per device are their mean: it computes for all
    devices in every phase, so that the round is exact, and a cluster's part of it nearly so.

    Parameters
    ----------
    cut
        1..L.
    speed
        FLOP/s, shape (..., N), instead of the devices' own.
    snr
        Linear signal-to-noise ratio of a subcarrier, shape (..., N), in both directions, instead
        of the links' own.

    Raises
    ------
    InputError
        A section, a batch size or a link's signal is missing, there are several servers, or
        `speed` is given for a device that is a measured machine.
    """
    spectrum, clusters = cell_of(scenario)
    fleet = scenario.fleet()
    server = single_server(scenario)
    batch = _batch_sizes(fleet)
    own_speed, forward, backward = _work(fleet, profile, cut, measured=speed is None)
    ratios = {
        direction: signal_ratios(scenario, direction) if snr is None else snr
        for direction in ("downlink", "uplink")
    }
    rate = {
        direction: subcarrier_rate(spectrum.bandwidth, xp.asarray(ratio), spectrum.fading, xp)
        for direction, ratio in ratios.items()
    }
    found = device_seconds(
        CutCosts(
            device_model_bytes=float(profile.device_model_bytes[cut - 1]),
            smashed_bytes=float(profile.smashed_bytes[cut - 1]),
            gradient_bytes=float(profile.gradient_bytes[cut - 1]),
            device_forward_flop=forward,
            device_backward_flop=backward,
            server_flop=float(server_seconds_per_sample(profile, server.speed)[cut - 1]),
            tied_bytes=float(exchanged_bytes(profile)[cut - 1]),
        ),
        batch_size=batch,
        device_speed=own_speed if speed is None else speed,
        server_speed=1.0,  # its work is in seconds already
        downlink=rate["downlink"],
        uplink=rate["uplink"],
        subcarriers=spectrum.subcarriers,
        gradient_batch_factor=clusters.gradient_batch_factor,
    )
    return found._replace(server=float(np.mean(found.server)))


def _batch_sizes(fleet: list[Device]) -> Any:
    for index, device in enumerate(fleet):
        if device.batch_size is None:
            raise InputError.at(
                f"devices[{index}] ({device.name})",
                "has no batch_size; a device trains one mini-batch in a local epoch",
            )
    return np.array([device.batch_size for device in fleet], dtype=np.float64)


def _work(
    fleet: list[Device], profile: ModelProfile, cut: int, measured: bool
) -> tuple[Any, Any, Any]:
    """Shape (N,) each: speeds, and forward and backward work.

    Seconds at speed 1 of a measured machine and of a machine model, with a message in each pass.
    """
    rows: dict[SpeedSource, tuple[float, Any, Any]] = {}
    for speed in {device.speed for device in fleet}:
        if isinstance(speed, int | float):
            profile.expect_work()
            flop = (profile.device_forward_flop[cut - 1], profile.device_backward_flop[cut - 1])
            rows[speed] = (speed, *flop)
            continue
        if not measured:
            what = (
                f"{speed!r} is a measured machine"
                if isinstance(speed, str)
                else f"{speed.name!r} is a machine model"
            )
            raise InputError(f"devices: {what}, whose speed does not vary; give 'compute' instead")
        if isinstance(speed, MachineModel):
            layers, message = layer_seconds(profile, speed), message_seconds(profile, speed)
            passes = (layers.forward[:cut].sum(), layers.backward[:cut].sum())
            forward, backward = (seconds + message[cut - 1] for seconds in passes)
            rows[speed] = (1.0, forward, backward)
            continue
        profile.device_seconds(speed)  # refuses what was not measured
        times = profile.machines[speed]
        back = times.backward_s + times.update_s
        rows[speed] = (1.0, times.forward_s[:cut].sum(), back[:cut].sum())
    table = np.array([rows[device.speed] for device in fleet], dtype=np.float64)
    return table[:, 0], table[:, 1], table[:, 2]


def signal_ratios(scenario: Scenario, direction: Literal["downlink", "uplink"]) -> Any:
    """Shape (N,): linear signal-to-noise ratios of one subcarrier.

    Raises
    ------
    InputError
        A link has a rate and no signal.
    """
    assert scenario.spectrum is not None  # cell_of() saw to it
    width = scenario.spectrum.bandwidth
    found = []
    for index, device in enumerate(scenario.fleet()):
        link = scenario.link(device, direction)
        if link.rate is not None:
            raise InputError.at(
                f"devices[{index}] ({device.name})",
                f"its {direction} has a rate, but a subcarrier needs a signal-to-noise ratio; give "
                "snr_db, or powers, channel gain and noise density",
            )
        found.append(link.signal_to_noise(width))
    return np.array(found)
