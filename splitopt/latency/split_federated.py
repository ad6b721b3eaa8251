"""Parallel split federated learning with shared links and server (DP-MORA, Eq. 1-12).

One round of one device: it downloads its part of the model, and for every epoch and sample
computes its part forward and backward, sends the smashed data up, waits for the server's part and
takes the gradient of the smashed data down; at the end it uploads its part of the model.
The batch size cancels: an epoch has samples / batch size batches of batch size samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.profiles import ModelProfile
from splitopt.scenario import Link, Scenario, Server

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PhaseSeconds:
    """Seconds of every device (N) at every cut (L) when the whole resource is its own.

    All arrays have shape (N, L); a share of a link or server divides its seconds.
    """

    download: FloatArray
    upload: FloatArray
    server: FloatArray
    device: FloatArray


def shannon_rate(
    bandwidth: Any, transmit_power: Any, channel_gain: Any, noise_density: Any, xp: ModuleType = np
) -> Any:
    """Rate in bit/s of a whole channel: W log2(1 + P |h|^2 / (W N0)) (DP-MORA Eq. 1 and 4).

    Parameters are in Hz, W, power gain and W/Hz; scalars or arrays of the namespace `xp`.
    """
    ratio = transmit_power * channel_gain / (bandwidth * noise_density)
    return bandwidth * xp.log1p(ratio) / xp.log(2.0)


def link_rate(link: Link) -> float:
    """Rate of a link in bit/s at the full resource: as given, or by Shannon."""
    if link.rate is not None:
        return link.rate
    rate = float(
        shannon_rate(link.bandwidth, link.transmit_power, link.channel_gain, link.noise_density)
    )
    if not 0 < rate < float("inf"):
        raise InputError(
            f"the link's rate by Shannon is {rate:g} bit/s; check bandwidth, transmit power, "
            "channel gain and noise density"
        )
    return rate


def traffic_bits(model_bytes: Any, crossing_bytes: Any, samples: Any, epochs: Any) -> Any:
    """Bits in one direction and round: the model once, the cut's tensor once a sample and epoch.

    Down it is the gradient of the smashed data (Eq. 2, 8), up the smashed data (Eq. 5, 11).
    """
    return 8.0 * (model_bytes + epochs * samples * crossing_bytes)


def phase_seconds(scenario: Scenario, profile: ModelProfile) -> PhaseSeconds:
    """Build the table of seconds of a scenario with one server.

    Raises
    ------
    InputError
        More than one server, a measured machine that the profile does not have, or one with
        unmeasured rows.
    """
    server = single_server(scenario)
    fleet = scenario.fleet()
    epochs = scenario.training.epochs
    samples = np.array([device.samples for device in fleet], dtype=np.float64)[:, None]
    down = np.array([link_rate(d.link("downlink", scenario.links)) for d in fleet])
    up = np.array([link_rate(d.link("uplink", scenario.links)) for d in fleet])
    work = {speed: device_seconds_per_sample(profile, speed) for speed in {d.speed for d in fleet}}
    device = np.stack([work[d.speed] for d in fleet])
    model, smashed, gradient = (
        profile.device_model_bytes,
        profile.smashed_bytes,
        profile.gradient_bytes,
    )
    return PhaseSeconds(
        download=traffic_bits(model, gradient, samples, epochs) / down[:, None],
        upload=traffic_bits(model, smashed, samples, epochs) / up[:, None],
        server=epochs * samples * server_seconds_per_sample(profile, server.speed),
        device=epochs * samples * device,
    )


def single_server(scenario: Scenario) -> Server:
    """Give the one server whose compute is shared; refuse a scenario with several."""
    if len(scenario.servers) != 1:
        raise InputError(
            f"servers: there are {len(scenario.servers)}, this problem shares exactly one"
        )
    return scenario.servers[0]


def device_seconds_per_sample(profile: ModelProfile, speed: float | str) -> FloatArray:
    """Shape (L,): seconds of the device's part, forward and backward, for one sample (Eq. 3, 9).

    `speed` is FLOP/s or the name of a machine that the profile was measured on.
    """
    if isinstance(speed, str):
        return profile.device_seconds(speed)
    return (profile.device_forward_flop + profile.device_backward_flop) / speed


def server_seconds_per_sample(profile: ModelProfile, speed: float | str) -> FloatArray:
    """Shape (L,): seconds of the server's part for one sample at its full speed (Eq. 6, 7)."""
    if isinstance(speed, str):
        return profile.server_seconds(speed)
    return (profile.server_forward_flop + profile.server_backward_flop) / speed
