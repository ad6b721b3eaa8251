"""A round of the new problem: one task."""

from __future__ import annotations

import numpy as np

from splitopt.simulation.replay import Forecast, Replay
from splitopt.simulation.tracks import Row, make_timeline
from splitopt.timeline import Resource


def replay(problem, decision, setting):
    """Simulate all devices as one."""
    seconds = problem.evaluate(decision)
    rows, start, end = [Row(0, 0, 0, 0, 1.0)], np.zeros(1), np.array([seconds])
    resources = [Resource("devices", "device")]
    timeline = make_timeline(resources, ("work",), ("devices",), rows, start, end, {})
    return Replay(timeline, "a round", (Forecast("the sum", seconds),), "the devices")
