"""Split federated learning in synchronous steps: HASFL (2506.08426), AdaptSFL (2403.13101).

In every step each device takes one mini-batch through the chain. The step has three barriers: the
server begins when the activations of all devices are there, works through them one after the other
on one copy of its part, and sends gradients when it is through; the next step begins when the last
device is done backward. Every I steps the devices' parts are averaged: they go up and come down.
Both papers count these phases; each device has a link of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.latency.split_federated import (
    device_seconds_per_sample,
    forward_fractions,
    link_rate,
    server_seconds_per_sample,
    single_server,
    traffic_bits,
)
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario

FloatArray = npt.NDArray[np.float64]

PHASES = ("forward_and_upload", "server", "gradient_and_backward", "aggregation")
"""What the seconds of a round are divided among, in this order."""


class SampleSeconds(NamedTuple):
    """Seconds of the tasks of a step, for one sample; those of the model for one aggregation.

    Arrays of shape (N, L) by device and cut, but for ``server``, which is (L,): whoever's sample it
    is, the server's part takes as long.
    """

    forward: FloatArray
    upload: FloatArray
    server: FloatArray
    gradient: FloatArray
    backward: FloatArray
    model_down: FloatArray
    model_up: FloatArray


def sample_seconds(scenario: Scenario, profile: ModelProfile) -> SampleSeconds:
    """Compute the seconds of one sample by device and cut.

    Where all devices share one downlink and one uplink, each has an equal part of it: the models of
    both papers give every device a subchannel of its own for the whole training.

    Raises
    ------
    InputError
        More than one server, a measured machine that the profile does not have, or one with
        unmeasured rows.
    """
    server, fleet = single_server(scenario), scenario.fleet()
    part = len(fleet) if scenario.links.shared else 1
    down, up = (
        np.array([link_rate(scenario.link(device, way)) for device in fleet])[:, None] / part
        for way in ("downlink", "uplink")
    )
    whole = np.stack([device_seconds_per_sample(profile, device.speed) for device in fleet])
    forward = whole * forward_fractions(scenario, profile)
    model = traffic_bits(profile.device_model_bytes, 0.0, 0.0, 0.0)
    return SampleSeconds(
        forward=forward,
        upload=traffic_bits(0.0, profile.smashed_bytes, 1.0, 1.0) / up,
        server=np.asarray(server_seconds_per_sample(profile, server.speed), dtype=np.float64),
        gradient=traffic_bits(0.0, profile.gradient_bytes, 1.0, 1.0) / down,
        backward=whole - forward,
        model_down=model / down,
        model_up=model / up,
    )


def round_phases(
    forward_s: Any, server_s: Any, backward_s: Any, exchange_s: Any, interval: Any
) -> tuple[Any, Any, Any, Any]:
    """Compute the seconds of a step by `PHASES`, with its part of an aggregation.

    Parameters
    ----------
    forward_s, backward_s
        Shape (..., N): seconds of every device's batch until its activations are at the server,
        and from the server's last task until the device is done.
    server_s
        Shape (..., N): seconds that the server takes for each device's batch.
    exchange_s
        Shape (..., N): seconds in which a device's part goes up and down once.
    interval
        I: steps from one aggregation to the next, over which its seconds are spread.
    """
    return (
        np.max(forward_s, axis=-1),
        np.sum(server_s, axis=-1),
        np.max(backward_s, axis=-1),
        np.max(exchange_s, axis=-1) / interval,
    )
