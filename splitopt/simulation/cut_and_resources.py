"""A round of `CutAndResources` event by event: every batch of every device at its shares.

A device downloads its part of the model; for every batch it computes forward, uploads the smashed
data, waits for its share of the server, downloads the gradient and computes backward; at the end it
uploads its part of the model. Shares are its own all the time, so that nobody waits for anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitopt.latency.split_federated import traffic_bits
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import PHASES as MODEL_PHASES
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.profiles import ModelProfile
from splitopt.scenario import Device
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
MOST_TASKS = 200_000
"""Above this, the batches of a device are shown as one per epoch, or as one in all."""


def replay(problem: CutAndResources, decision: CutAndResourcesDecision, setting: Setting) -> Replay:
    """Simulate a round; without a scenario a device's whole round is a single batch."""
    phases = problem.phases(decision)
    devices = problem.devices
    scenario = setting.scenario
    names = (
        tuple(device.name for device in scenario.fleet())
        if scenario is not None
        else tuple(f"device {n}" for n in range(devices))
    )
    seconds = _by_task_kind(problem, decision, setting, phases)
    rounds, detail = _batches(setting, devices)
    shared = ("downlink", "uplink", "server")
    place = {name: devices + index for index, name in enumerate(shared)}
    rows, taken = [], []
    for n in range(devices):
        where = (
            (place["downlink"], decision.download_share[n]),
            (n, 1.0),
            (place["uplink"], decision.upload_share[n]),
            (place["server"], decision.server_share[n]),
            (place["downlink"], decision.download_share[n]),
            (n, 1.0),
            (place["uplink"], decision.upload_share[n]),
        )
        weights, last = rounds[n], len(rounds[n]) - 1
        for batch, weight in enumerate(weights):
            for phase, (resource, share) in enumerate(where):
                once = phase in (0, 6)
                if once and batch != (0 if phase == 0 else last):
                    continue
                rows.append(Row(resource, phase, n, batch, float(share)))
                taken.append(seconds[n, phase] * (1.0 if once else weight))
    durations = np.array(taken)
    factors = drawn(len(rows), setting.noise, setting.seed)
    start, end = side_by_side(rows, durations, factors)
    timeline = make_timeline(
        [*(Resource(name, "device") for name in names), *_shared_resources()],
        PHASES,
        names,
        rows,
        start,
        end,
        {"problem": problem.name, "noise": setting.noise, "seed": setting.seed},
    )
    latencies = phases.sum(axis=1)
    slowest = int(latencies.argmax())
    longest = int(phases[slowest].argmax())
    return Replay(
        timeline=timeline,
        span="a round",
        forecasts=(Forecast("the plan's model (DP-MORA Eq. 12)", float(latencies.max())),),
        binding=f"{names[slowest]}, {MODEL_PHASES[longest]}",
        facts=(("Shown", detail),),
    )


def _shared_resources() -> list[Resource]:
    return [Resource("downlink", "link"), Resource("uplink", "link"), Resource("server", "server")]


def _by_task_kind(
    problem: CutAndResources,
    decision: CutAndResourcesDecision,
    setting: Setting,
    phases: FloatArray,
) -> FloatArray:
    """Shape (N, 7): seconds of a whole round by `PHASES`; they add up to those of the problem."""
    download, device, upload, server = phases.T
    model_down, model_up, forward = (np.zeros(problem.devices) for _ in range(3))
    if setting.scenario is not None and setting.profile is not None:
        profile, at = setting.profile, decision.cut - 1
        samples = np.array([d.samples for d in setting.scenario.fleet()], dtype=np.float64)
        epochs = setting.scenario.training.epochs
        model = profile.device_model_bytes[at]
        alone = traffic_bits(model, 0.0, samples, epochs)
        for part, crossing in (
            (model_down, profile.gradient_bytes),
            (model_up, profile.smashed_bytes),
        ):
            whole = traffic_bits(model, crossing[at], samples, epochs)
            part[:] = np.divide(alone, whole, out=np.zeros_like(whole), where=whole > 0)
        there, back = _both_ways(profile, setting.scenario.fleet(), at)
        forward[:] = np.divide(
            there, there + back, out=np.zeros_like(there), where=there + back > 0
        )
    return np.stack(
        (
            download * model_down,
            device * forward,
            upload * (1 - model_up),
            server,
            download * (1 - model_down),
            device * (1 - forward),
            upload * model_up,
        ),
        axis=1,
    )


def _both_ways(
    profile: ModelProfile, fleet: Sequence[Device], at: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Shape (N,) each: forward and backward of the devices' parts, in FLOP or measured seconds."""
    found = []
    for device, cut in zip(fleet, at, strict=True):
        if device.machine is None:
            found.append((profile.device_forward_flop[cut], profile.device_backward_flop[cut]))
            continue
        times = profile.machine_times(device.machine)
        back = times.backward_s + times.update_s
        found.append((times.forward_s[: cut + 1].sum(), back[: cut + 1].sum()))
    there, back_again = np.array(found, dtype=np.float64).T
    return there, back_again


def _batches(setting: Setting, devices: int) -> tuple[list[FloatArray], str]:
    """Give each device's batches as fractions of its work in a round, and say how fine they are."""
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
