"""Seconds by a machine model, against sums by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.latency.layer_seconds import layer_seconds
from splitopt.latency.split_federated import phase_seconds
from splitopt.profiles import MachineModel, OperatorCounts, load_profile
from splitopt.scenario import Scenario

#                 conv  depth matrix moved fixed operators
LAYERS = np.array([[10.0, 0.0, 0.0, 4.0, 8.0, 2.0], [0.0, 5.0, 6.0, 2.0, 4.0, 2.0]])
MODEL = MachineModel("pi", 2, (1.0, 10.0, 0.5, 0.25, 0.5, 3.0), message_s=7.0)


@pytest.fixture
def profile():
    """Two layers of a shipped one; backward does twice, the update once what forward does."""
    whole = load_profile("cnn-digits")
    first = replace(
        whole, leakage=None, leakage_record=None, provenance=replace(whole.provenance, columns={})
    ).to_dict()
    for key, value in list(first.items()):
        if isinstance(value, list):
            first[key] = value[:2]
    for key in ("server_forward_flop", "server_backward_flop", "smashed_bytes", "gradient_bytes"):
        first[key] = [6.0, 0.0]
    del first["operators"]
    found = type(whole).from_dict(first, "two")
    return replace(found, operators=OperatorCounts(LAYERS, 2 * LAYERS, LAYERS))


def test_layers_by_hand(profile):
    """Batch of 2: 10 + 4/4 + 8/4 + 3 = 16 s, and 50 + 3 + 2/4 + 4/4 + 3 = 57.5 s."""
    found = layer_seconds(profile, MODEL)
    np.testing.assert_allclose(found.forward, [16.0, 57.5])
    np.testing.assert_allclose(found.backward, [48.0, 172.5])
    slow = layer_seconds(profile, MODEL, slowdown=2.0)
    np.testing.assert_allclose(slow.forward, [32.0, 115.0])
    alone = layer_seconds(profile, replace(MODEL, batch=1))
    np.testing.assert_allclose(alone.forward, [10 + 1 + 4 + 6, 50 + 3 + 0.5 + 2 + 6])


def test_a_round_has_messages_at_a_cut_and_none_without(profile):
    """Per sample 2 * 7 / 2 s for what is sent and received, on both sides of cut 1 alone."""
    machine = MODEL.to_dict()
    scenario = Scenario.from_dict(
        {
            "model": "cnn-digits",
            "devices": [{"name": "a", "samples": 3, "machine_model": machine}],
            "servers": [{"name": "s", "machine_model": machine}],
            "links": {"downlink": "1 Mbit/s", "uplink": "1 Mbit/s"},
        }
    )
    found = phase_seconds(scenario, profile)
    np.testing.assert_allclose(found.device, [[3 * (64.0 + 7.0), 3 * (64.0 + 230.0)]])
    np.testing.assert_allclose(found.server, [[3 * (230.0 + 7.0), 0.0]])


def test_a_profile_without_operators_is_refused():
    """The message says what the profile lacks, for whom, and how to mend it."""
    words = r"'resnet18-imagenet' does not say what its operators do.*'pi' needs; trace the model"
    with pytest.raises(InputError, match=words):
        layer_seconds(load_profile("resnet18-imagenet"), MODEL)
