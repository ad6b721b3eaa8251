"""The latency model of DP-MORA against its equations worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, Scenario, load_profile
from splitopt.latency.radio import shannon_rate
from splitopt.latency.split_federated import link_rate, phase_seconds
from splitopt.problems.common_cut import CommonCut
from splitopt.scenario import Link


def test_shannon_rate_by_hand():
    """1 MHz at a signal-to-noise ratio of 3 carries 2 Mbit/s."""
    assert shannon_rate(1e6, 3e-3 * 1e-6 / (1e6 * 1e-15)) == pytest.approx(2e6)
    link = Link(bandwidth=1e6, transmit_power=3e-3, channel_gain=1e-6, noise_density=1e-15)
    assert link_rate(link) == pytest.approx(2e6)
    assert link_rate(Link(bandwidth=1e6, snr=3.0)) == pytest.approx(2e6)
    assert link_rate(Link(rate=7.0)) == 7.0


def test_a_rate_that_vanishes_is_refused():
    """A signal far below the noise gives a rate that rounds to zero: said, not divided by."""
    link = Link(bandwidth=1e6, transmit_power=1e-30, channel_gain=1e-300, noise_density=1.0)
    with pytest.raises(InputError, match="rate by Shannon is 0 bit/s"):
        link_rate(link)


def test_equations_1_to_12_by_hand(scenario_document):
    """One device, worked from the equations batch by batch, gives the table's seconds."""
    scenario = Scenario.from_dict(scenario_document)
    profile = load_profile("dp-mora-resnet18-recovered")
    seconds = phase_seconds(scenario, profile)
    device, epochs, rate_down, rate_up, server = scenario.devices[0], 5, 1e8, 5e7, 2e11
    batches = device.samples / device.batch_size
    for cut in (1, 5, 9, 10):
        at = cut - 1
        bits_model = 8 * profile.device_model_bytes[at]
        bits_smashed = 8 * device.batch_size * profile.smashed_bytes[at]
        bits_gradient = 8 * device.batch_size * profile.gradient_bytes[at]
        work_device = profile.device_forward_flop[at] + profile.device_backward_flop[at]
        work_server = profile.server_forward_flop[at] + profile.server_backward_flop[at]
        down = bits_model / rate_down + epochs * batches * bits_gradient / rate_down
        up = bits_model / rate_up + epochs * batches * bits_smashed / rate_up
        own = epochs * batches * device.batch_size * work_device / device.compute
        shared = epochs * batches * device.batch_size * work_server / server
        found = [
            getattr(seconds, name)[0, at] for name in ("download", "upload", "device", "server")
        ]
        assert found == pytest.approx([down, up, own, shared], rel=1e-12)


def test_recovered_scenario_is_the_known_instance(recovered_instance):
    """The shipped section 7.2 scenario gives the instance recovered from the paper's tables."""
    problem = CutAndResources.from_scenario(Scenario.load("dp-mora-resnet18"))
    data = recovered_instance["data"]
    for name in ("download_s", "upload_s", "server_s", "device_s"):
        assert getattr(problem, name) == pytest.approx(np.array(data[name]), rel=1e-9, abs=1e-9)
    assert problem.allowed.tolist() == data["allowed"]


def test_measured_machines_replace_speeds():
    """A device that is a measured machine takes the measured seconds of its layers."""
    scenario = Scenario.from_dict(
        {
            "model": "resnet101-cifar",
            "devices": [{"name": "pi", "machine": "d1", "samples": 100}],
            "links": {"downlink": "1 Mbit/s", "uplink": "1 Mbit/s"},
            "servers": [{"name": "laptop", "compute": "1 TFLOP/s"}],
        }
    )
    profile = scenario.load_model()
    seconds = phase_seconds(scenario, profile)
    times = profile.machines["d1"]
    whole = (times.forward_s + times.backward_s + times.update_s).sum()
    assert seconds.device[0, -1] == pytest.approx(100 * whole)
    assert math.isclose(seconds.server[0, -1], 0.0)


def test_several_servers_are_refused(scenario_document):
    """A common cut shares exactly one server; of several every device chooses one."""
    document = {
        **scenario_document,
        "servers": [
            {"name": "a", "compute": "1 TFLOP/s"},
            {"name": "b", "compute": "1 TFLOP/s"},
        ],
    }
    with pytest.raises(InputError, match="exactly one"):
        CommonCut.from_scenario(Scenario.from_dict(document))
