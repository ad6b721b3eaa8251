"""A fleet of three devices and two servers, and its seconds by hand."""

from __future__ import annotations

import itertools

LAYERS = 3


# A model of three layers by hand: bytes of the device part, bytes across each cut, FLOP.
MODEL_BYTES = [1000.0, 5000.0, 20_000.0]


SMASHED = [4000.0, 1000.0, 0.0]


GRADIENT = [4000.0, 1000.0, 0.0]


FORWARD = [2e6, 5e6, 9e6]
"""Of the device part, for one sample."""


BACKWARD = [4e6, 10e6, 18e6]


WHOLE = 27e6


DOCUMENT = {
    "format": "splitopt-scenario",
    "version": 1,
    "model": {"file": "model.json"},
    "training": {"epochs": 2, "rounds": 3},
    "links": {"downlink": "20 Mbit/s", "uplink": "8 Mbit/s"},
    "servers": [
        {"name": "near", "compute": "1 GFLOP/s"},
        {
            "name": "far",
            "compute": "5 GFLOP/s",
            "links": {"downlink": "10 Mbit/s", "uplink": "4 Mbit/s"},
        },
    ],
    "devices": [
        {"name": "a", "compute": "100 MFLOP/s", "samples": 50, "batch_size": 10},
        {"name": "b", "compute": "50 MFLOP/s", "samples": 30, "batch_size": 10},
        {
            "name": "c",
            "compute": "400 MFLOP/s",
            "samples": 101,
            "batch_size": 10,
            "servers": {"near": {"uplink": "2 Mbit/s"}, "far": {}},
        },
    ],
}


RATES = {  # (server, device) -> downlink and uplink in bit/s, read from the document by eye
    **{("near", name): (20e6, 8e6) for name in "ab"},
    **{("far", name): (10e6, 4e6) for name in "abc"},
    ("near", "c"): (20e6, 2e6),
}


SPEEDS = {"a": 100e6, "b": 50e6, "c": 400e6}


SERVERS = {"near": 1e9, "far": 5e9}


SAMPLES = {"a": 50, "b": 30, "c": 101}


def by_hand(name, server, cut, epochs=2, up=None, down=None):
    """Seconds of download, upload, server and device, as DP-MORA Eq. 2-11 have them."""
    samples, (downlink, uplink) = SAMPLES[name], RATES[server, name]
    done = FORWARD[cut - 1] + BACKWARD[cut - 1]
    up = epochs * samples * SMASHED[cut - 1] if up is None else up
    down = epochs * samples * GRADIENT[cut - 1] if down is None else down
    return (
        8 * (MODEL_BYTES[cut - 1] + down) / downlink,
        8 * (MODEL_BYTES[cut - 1] + up) / uplink,
        epochs * samples * (WHOLE - done) / SERVERS[server],
        epochs * samples * done / SPEEDS[name],
    )


ALL = list(itertools.product(SERVERS, (1, 2, 3)))
