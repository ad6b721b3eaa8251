"""Fleets drawn at random."""

from __future__ import annotations

from splitopt import (
    Scenario,
)
from splitopt.planning.comparison.rows import SchemeRow


def fleet(**changes):
    """Return a fleet of four alike devices and one server."""
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "four",
        "model": "resnet18-imagenet",
        "devices": [
            {
                "name": "pi",
                "count": 4,
                "compute": "20 GFLOP/s",
                "samples": 100,
                "batch_size": 10,
                "compute_power": "5 W",
                "transmit_power": "1 W",
            }
        ],
        "links": {"downlink": "80 Mbit/s", "uplink": "40 Mbit/s"},
        "servers": [{"name": "edge", "compute": "1 TFLOP/s", "price_per_hour": 0.36}],
        "training": {"epochs": 2},
    }
    return Scenario.from_dict(document | changes)


def row(scheme, seconds, **fields):
    """Return a feasible row of a scheme."""
    return SchemeRow(scheme, "feasible", proved=True, round_s=seconds, **fields)
