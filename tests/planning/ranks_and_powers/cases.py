"""Devices with adapters, powers and batch sizes, and their seconds by hand."""

from __future__ import annotations

import copy

# A model of three layers by hand. At rank r a column is the first number + r times the second.
MODEL_BYTES = [(0, 800), (0, 2400), (0, 4000)]


SMASHED = [4000, 1000, 0]


FORWARD = [(2e6, 1e5), (5e6, 4e5), (9e6, 6e5)]


BACKWARD = [(2e6, 2e5), (5e6, 8e5), (9e6, 12e5)]


FIXED = [(50_000, 1600), (200_000, 4800), (400_000, 8000)]


SAVED = [(1000, 40), (3000, 120), (5000, 200)]


RANK = 4
"""Of the profile's own table."""


def at(pairs, rank):
    """Return a column at a rank."""
    return [first + rank * more for first, more in pairs]


def rest(pairs):
    """Return what a cumulative column leaves to the server."""
    return [(pairs[-1][0] - first, pairs[-1][1] - more) for first, more in pairs]


def apart(pairs):
    """Return the layers of a cumulative column by themselves."""
    before = [(0, 0), *pairs[:-1]]
    return [(a - c, b - d) for (a, b), (c, d) in zip(pairs, before, strict=True)]


COLUMNS = {
    "device_forward_flop": FORWARD,
    "device_backward_flop": BACKWARD,
    "server_forward_flop": rest(FORWARD),
    "server_backward_flop": rest(BACKWARD),
    "device_model_bytes": MODEL_BYTES,
    "device_memory_fixed_bytes": FIXED,
    "device_memory_per_sample_bytes": SAVED,
    "layer_parameter_bytes": [(50_000, 800), (150_000, 1600), (200_000, 1600)],
    "layer_trained_bytes": apart(MODEL_BYTES),
    "layer_saved_bytes": apart(SAVED),
}


DOCUMENT = {
    "format": "splitopt-scenario",
    "version": 1,
    "model": {"file": "model.json"},
    "training": {"epochs": 2, "rounds": 3},
    "links": {
        "downlink": "20 Mbit/s",
        "uplink": {"bandwidth": "2 MHz", "channel_gain": 1e-9, "noise_density": "1e-17 W/Hz"},
    },
    "servers": [
        {"name": "near", "compute": "1 GFLOP/s"},
        {"name": "far", "compute": "5 GFLOP/s", "links": {"uplink": {"channel_gain": 4e-10}}},
    ],
    "devices": [
        {"name": "a", "compute": "100 MFLOP/s", "samples": 50, "batch_size": 10},
        {"name": "b", "compute": "50 MFLOP/s", "samples": 30, "batch_size": 10},
        {"name": "c", "compute": "400 MFLOP/s", "samples": 101, "batch_size": 10},
    ],
    "adapters": {"rank": [2, 8]},
}


POWERS = {"min": "20 mW", "max": "320 mW", "steps": 3}


WATT = [0.32, 0.08, 0.02]
"""Two steps of a quarter, which is 6 dB each."""


SAMPLES = {"a": 50, "b": 30, "c": 101}


COMPUTING = {"a": 2.0, "b": 1.0, "c": 6.0}


def devices(count=3, **more):
    """Return the first devices with powers and more fields; a range of powers by default."""
    found = copy.deepcopy(DOCUMENT["devices"][:count])
    for device in found:
        device |= {"compute_power": f"{COMPUTING[device['name']]} W", "transmit_power": POWERS}
        device |= more
    return found
