"""A scenario of IoTSL, and what its plan promises."""

import copy

from splitopt import Scenario, plan

TRAINING = {
    "steps": 10,
    "critic_steps": 4,
    "batch_size": 8,
    "critic_work": "3 MFLOP",
    "generator_work": "2 MFLOP",
    "sampling_work": "1 MFLOP",
    "epochs": {"without": 7, "with": 3},
    "target": "90 %",
    "cut": 1,
    "pretraining_epochs": 2,
    "edge": {"compute": "1 GFLOP/s", "rate": "8 Mbit/s", "power": "20 W", "sample_size": "1 kB"},
}


DOCUMENT = {
    "format": "splitopt-scenario",
    "version": 1,
    "name": "two",
    "model": "cpsl-lenet-paper",
    "devices": [
        {
            "name": "cam",
            "samples": 100,
            "compute": "10 MFLOP/s",
            "compute_power": "4 W",
            "transmit_power": "2 W",
        },
        {
            "name": "far",
            "samples": 60,
            "compute": "20 MFLOP/s",
            "compute_power": "5 W",
            "uplink": {"rate": "4 Mbit/s", "transmit_power": "1 W"},
        },
    ],
    "links": {"downlink": "40 Mbit/s", "uplink": "16 Mbit/s"},
    "servers": [{"name": "edge", "compute": "1 GFLOP/s"}],
    "generators": {
        "size": "1 MB",
        "latency": "1 s",
        "classes": {"cam": ["a", "b", "c"], "far": ["c"]},
        "training": TRAINING,
    },
}


def scenario(section=None, **changes):
    """Return the scenario with changes in its training, and in its generators."""
    document = copy.deepcopy(DOCUMENT)
    document["generators"] |= section or {}
    training = document["generators"]["training"] | changes
    document["generators"]["training"] = {k: v for k, v in training.items() if v is not None}
    return Scenario.from_dict(document)


def promised(given):
    """Return what the plan of a scenario says of IoTSL."""
    return plan(given).prediction["iotsl"]
