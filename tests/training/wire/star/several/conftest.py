"""Plans whose devices are at two of three servers, and who is where."""

from __future__ import annotations

import functools

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402

SERVERS = [
    {"name": "idle", "compute": "1 MFLOP/s"},
    {"name": "near", "compute": "100 MFLOP/s", "seats": 2},
    {"name": "far", "compute": "60 MFLOP/s", "links": {"downlink": "4 Mbit/s"}},
]
DEVICES = [
    {"name": "a", "compute": "40 MFLOP/s", "samples": 20, "batch_size": 8},
    {"name": "b", "compute": "20 MFLOP/s", "samples": 12, "batch_size": 8},
    {"name": "c", "compute": "40 MFLOP/s", "samples": 9, "batch_size": 8},
]
REACHES = {"a": "near", "b": "far", "c": "far"}


@functools.cache
def planned(own_cuts=False):
    """Plan two devices at the far server and one at the near one.

    With ``own_cuts`` one of them is too weak to compute more than the first layer, and another
    keeps all of them.
    """
    document = Scenario.load("digits-splitfed").to_dict()
    devices = [device | {"servers": [REACHES[device["name"]]]} for device in DEVICES]
    if own_cuts:
        devices[1] |= {"compute": "20 kFLOP/s"}
        devices[2] |= {"compute": "1 TFLOP/s", "uplink": "1 kbit/s"}
    changed = {"servers": SERVERS, "devices": devices, "training": {"epochs": 1, "rounds": 2}}
    return splitopt.plan(Scenario.from_dict(document | changed))


@pytest.fixture
def plan_of_servers():
    """Return the function that plans for several servers."""
    return planned
