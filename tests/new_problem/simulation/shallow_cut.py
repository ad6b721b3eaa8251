"""A round of the new problem: devices in turn, which wait for nothing."""

from __future__ import annotations

import numpy as np

from splitopt.simulation.replay import Forecast, Replay
from splitopt.simulation.tracks import Row, make_timeline
from splitopt.timeline import Resource

PHASES = (
    "model download",
    "device forward",
    "upload",
    "server",
    "gradient download",
    "device backward",
    "model upload",
)
COMPUTED = ("device forward", "device backward")


def replay(problem, decision, setting):
    """Simulate every batch; only what a device computes takes time."""
    fleet, epochs = setting.scenario.fleet(), setting.scenario.training.epochs
    whole = problem.evaluate(decision)
    slowness = np.array([device.samples / device.compute for device in fleet])
    rows, seconds = [], []
    for n, device in enumerate(fleet):
        batches = epochs * -(-device.samples // (device.batch_size or device.samples))
        own = whole * slowness[n] / slowness.sum() / batches / len(COMPUTED)
        for batch in range(batches):
            for number, phase in enumerate(PHASES):
                if phase.startswith("model") and batch != (0 if number == 0 else batches - 1):
                    continue
                on_server = phase == "server"
                rows.append(Row(len(fleet) if on_server else n, number, n, batch, 1.0))
                seconds.append(own if phase in COMPUTED else 0.0)
    end = np.cumsum(seconds)
    names = tuple(device.name for device in fleet)
    resources = [*(Resource(name, "device") for name in names), Resource("server", "server")]
    timeline = make_timeline(resources, PHASES, names, rows, end - seconds, end, {"round": 0})
    return Replay(timeline, "a round", (Forecast("the sum", whole),), "the devices")
