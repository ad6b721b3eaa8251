"""A round of `CutAndResources` event by event: every batch of every device at its shares.

A device downloads its part of the model; for every batch it computes forward, uploads the smashed
data, waits for its share of the server, downloads the gradient and computes backward; at the end it
uploads its part of the model. Shares are its own all the time, so that nobody waits for anybody.
Links that no two devices share are resources of their own, and taken as a whole.
"""

from __future__ import annotations

import numpy as np

from splitopt.latency.split_federated import (
    PhaseSeconds,
    TaskFractions,
    task_fractions,
    task_seconds,
)
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import PHASES as MODEL_PHASES
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.simulation.replay import Forecast, Replay, Setting
from splitopt.simulation.tracks import Row, drawn, make_timeline, side_by_side
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
_SAME = 1e-9
"""Relative difference up to which two devices end together."""
MOST_TASKS = 200_000
"""Above this, the batches of a device are shown as one per epoch, or as one in all."""


def replay(problem: CutAndResources, decision: CutAndResourcesDecision, setting: Setting) -> Replay:
    """Simulate a round; without a scenario a device's whole round is a single batch."""
    phases = problem.phases(decision)
    names = setting.device_names(problem.devices)
    batches, detail = _batches(setting, problem.devices)
    seconds = _by_task_kind(problem, decision, setting, phases)
    rows, durations = _tasks(problem, decision, seconds, batches)
    start, end = side_by_side(rows, durations, drawn(len(rows), setting.noise, setting.seed))
    latencies = phases.sum(axis=1)
    latest = np.flatnonzero(latencies >= latencies.max() * (1 - _SAME))
    longest = MODEL_PHASES[int(phases[latest[0]].argmax())]
    return Replay(
        timeline=make_timeline(
            _resources(problem, names),
            PHASES,
            names,
            rows,
            start,
            end,
            setting.origin(problem.name),
        ),
        span="a round",
        forecasts=(Forecast("the plan's model (DP-MORA Eq. 12)", float(latencies.max())),),
        binding=f"{names[latest[0]]}, {longest}"
        if len(latest) == 1
        else f"{len(latest)} of {problem.devices} devices, which end together",
        facts=(("Shown", detail),),
    )


def _resources(problem: CutAndResources, names: tuple[str, ...]) -> list[Resource]:
    """Return the devices, then the links, then the server."""
    devices = [Resource(name, "device") for name in names]
    if problem.shared_links:
        links = [Resource("downlink", "link"), Resource("uplink", "link")]
    else:
        links = [link_of(way, name) for name in names for way in ("downlink", "uplink")]
    return [*devices, *links, Resource("server", "server")]


def _tasks(
    problem: CutAndResources,
    decision: CutAndResourcesDecision,
    seconds: FloatArray,
    batches: list[FloatArray],
) -> tuple[list[Row], FloatArray]:
    """Return the tasks of a round with their seconds (T,).

    Parameters
    ----------
    seconds
        Shape (N, 7): of a whole round by `PHASES`.
    batches
        Of each device: its batches as fractions of its round.
    """
    devices = problem.devices
    server = devices + (2 if problem.shared_links else 2 * devices)
    rows, taken = [], []
    for n in range(devices):
        down, up = (devices, decision.download_share[n]), (devices + 1, decision.upload_share[n])
        if not problem.shared_links:
            down, up = (devices + 2 * n, 1.0), (devices + 2 * n + 1, 1.0)
        where = (down, (n, 1.0), up, (server, decision.server_share[n]), down, (n, 1.0), up)
        last = len(batches[n]) - 1
        for batch, weight in enumerate(batches[n]):
            for phase, (resource, share) in enumerate(where):
                # The model goes down before the first batch and up after the last one.
                once = phase in (0, 6)
                if once and batch != (0 if phase == 0 else last):
                    continue
                rows.append(Row(resource, phase, n, batch, float(share)))
                taken.append(seconds[n, phase] * (1.0 if once else weight))
    return rows, np.array(taken)


def link_of(way: str, device: str) -> Resource:
    """Return the downlink or uplink that is a device's own."""
    return Resource(f"{way} of {device}", f"own {way}")


def _by_task_kind(
    problem: CutAndResources,
    decision: CutAndResourcesDecision,
    setting: Setting,
    phases: FloatArray,
) -> FloatArray:
    """Shape (N, 7): seconds of a whole round by `PHASES`; they add up to those of the problem."""
    download, device, upload, server = phases.T
    none = np.zeros(problem.devices)
    fractions = TaskFractions(model_down=none, model_up=none, forward=none)
    if setting.scenario is not None and setting.profile is not None:
        columns = (decision.cut - 1)[:, None]
        parts = task_fractions(setting.scenario, setting.profile, columns)
        fractions = TaskFractions(*(part[:, 0] for part in parts))
    return np.stack(task_seconds(PhaseSeconds(download, upload, server, device), fractions), axis=1)


def _batches(setting: Setting, devices: int) -> tuple[list[FloatArray], str]:
    """Return each device's batches as fractions of its round, and in words how fine they are."""
    if setting.scenario is None:
        return [np.ones(1)] * devices, "a device's round as one batch"
    fleet, epochs = setting.scenario.fleet(), setting.scenario.training.epochs
    sizes = [(device.samples, device.batch_size or device.samples) for device in fleet]
    if 5 * epochs * sum(-(-samples // size) for samples, size in sizes) <= MOST_TASKS:
        found = []
        for samples, size in sizes:
            full, rest = divmod(samples, size)
            epoch = np.array([size] * full + [rest] * (rest > 0)) / (samples * epochs)
            found.append(np.tile(epoch, epochs))
        return found, "every batch"
    if 5 * epochs * devices <= MOST_TASKS:
        return [np.full(epochs, 1 / epochs)] * devices, "every epoch as one batch"
    return [np.ones(1)] * devices, "a device's round as one batch"
