"""What it costs to change a cut: the layers that a device lacks travel to it."""

from __future__ import annotations

import numpy as np

from splitopt.latency.split_federated import link_rate
from splitopt.problems.base import FloatArray
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


def moving_seconds(scenario: Scenario, profile: ModelProfile) -> FloatArray:
    """Return the seconds (N, L) in which every device's part of the model comes over its downlink.

    At the full rate. The part of a deeper cut holds that of a shallower one, so that who goes from
    cut k to cut l > k fetches the difference; going back, the layers are dropped, since the server
    has their average.
    """
    rates = [link_rate(scenario.link(device, "downlink")) for device in scenario.fleet()]
    bits = 8.0 * np.asarray(profile.device_model_bytes)
    return np.asarray(bits[None, :] / np.array(rates)[:, None])
