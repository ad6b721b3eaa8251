"""Scenarios with every section, for problems of every kind, and the same with changes."""

from __future__ import annotations

import copy

KINDS = (
    "cut_and_resources",
    "cluster_and_spectrum",
    "cut_and_clusters",
    "cut_under_uncertainty",
    "pipeline_partition",
    "common_cut",
)
CELLS = ("cluster_and_spectrum", "cut_and_clusters", "cut_under_uncertainty")
MODEL = "resnet18-imagenet"


TRAINED = {
    "steps": 20,
    "critic_work": "3 MFLOP",
    "generator_work": "2 MFLOP",
    "epochs": {"without": 9, "with": 4},
    "target": 0.9,
    "pretraining_epochs": 2,
    "edge": {"compute": "1 GFLOP/s", "rate": "8 Mbit/s", "power": "20 W", "sample_size": "1 kB"},
}
GENERATORS = {
    "size": "1 MB",
    "classes": {"pi-1": [0, 1], "pi-2": [1, 2], "pi-3": [0, 2], "nano": [0]},
    "quality": {"pi": 0.5, "nano": 0.9},
    "quality_weight": 3,
    "training": TRAINED,
}
COUNTS = {"pi-1": [9, 9, 0], "pi-2": [0, 9, 9], "pi-3": [9, 0, 2], "nano": [9, 0, 0]}
COUNTED = {key: value for key, value in GENERATORS.items() if key != "classes"} | {
    "counts": COUNTS,
    "labels": [0, 1, 2],
}


CURVE = {
    "format": "splitopt-rounds-curve",
    "version": 1,
    "name": "measured",
    "metric": "test_loss",
    "target": 0.3,
    "rounds": 100,
    "batch_factor": 300.0,
    "interval_exponent": 0.2,
    "calibrated": {
        "batch_size": [2, 100],
        "aggregation_interval": [1, 20],
        "parameter_share": [0, 1],
        "devices": 4,
    },
    "step_rule": {"optimizer": "sgd", "learning_rate": 0.1},
}
TARGET = {"curve": CURVE, "batch_size": [5, 6], "aggregation_interval": [1, 5]}
"""The fast device takes the larger batch, as long as it has so many samples."""


def document(kind):
    """Return a scenario with every section, whose links suit the problem."""
    own = {"samples": 40, "batch_size": 10, "memory": "4 GiB", "leakage_limit": 0.9}
    cell = kind in CELLS
    signal = {"snr_db": 20} if cell else {}
    whole = {"generators": GENERATORS} if kind == "generator_pairing" else {}
    whole |= {"time_to_accuracy": TARGET} if kind == "time_to_accuracy" else {}
    return whole | {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "all",
        "model": {"profile": MODEL},
        "devices": [
            {"name": "pi", "count": 3, "compute": "2 GFLOP/s", **own, **signal},
            {"name": "nano", "compute": "9 GFLOP/s", **own, **signal} | {"leakage_limit": None},
        ],
        "links": {
            "downlink": {} if cell else {"rate": "90 Mbit/s"},
            "uplink": {} if cell else {"rate": "70 Mbit/s"},
            "nodes": {"model": "uniform", "rate": "30 Mbit/s"},
        },
        "servers": [{"name": "edge", "compute": "1 TFLOP/s", "memory": "6 GiB"}],
        "nodes": [
            {"name": "slow", "compute": "20 GFLOP/s", "memory": "4 GiB"},
            {"name": "fast", "compute": "90 GFLOP/s", "memory": "4 GiB"},
        ],
        "pipeline": {"first_cut": 2, "last_cut": 9, "use_all_nodes": True},
        "training": {"epochs": 2, "rounds": 3},
        "privacy": {"leakage_limit": 0.9},
        "tradeoff": {"seconds_per_joule": 0.1},
        "spectrum": {"subcarriers": 8, "bandwidth": "1 MHz"},
        "clusters": {"size": 2, "cut": 3},
        "distributions": {
            "samples": 4,
            "compute": {"kind": "normal", "std_relative": 0.2, "low": "0.5 GFLOP/s"},
            "snr": {"kind": "normal", "std_db": 2},
        },
    }


ABSENT = object()
"""In place of a value: the field is taken away."""


def changed(kind, changes):
    """Return the scenario's document with changes at dotted places."""
    found = copy.deepcopy(document(kind))
    for place, value in changes.items():
        *outer, last = place.split(".")
        part = found
        for step in outer:
            part = part[int(step)] if isinstance(part, list) else part.setdefault(step, {})
        if value is ABSENT:
            part.pop(last, None)
        else:
            part[last] = copy.deepcopy(value)
    return found
