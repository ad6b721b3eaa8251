"""Parallel split federated learning with shared links and server (DP-MORA, Eq. 1-12).

One round of one device: it downloads its part of the model, and for every epoch and sample
computes its part forward and backward, sends the smashed data up, waits for the server's part and
takes the gradient of the smashed data down; at the end it uploads its part of the model.
The batch size cancels: an epoch has samples / batch size batches of batch size samples. It counts
only where both sides of a cut hold a copy of a weight, whose gradient goes up and down once for
every batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.latency.layer_seconds import SpeedSource, layer_seconds, message_seconds
from splitopt.latency.radio import shannon_rate
from splitopt.profiles import Curve, MachineModel, ModelProfile
from splitopt.profiles.counting.tied import exchanged_bytes, has_copies
from splitopt.profiles.table.curves import family_size
from splitopt.scenario import Device, Link, Scenario, Server

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PhaseSeconds:
    """Seconds of every device (N) at every cut (L) when the whole resource is its own.

    All arrays have shape (N, L); a share of a link or server divides its seconds.
    """

    download: FloatArray
    upload: FloatArray
    server: FloatArray
    device: FloatArray

    def at(self, columns: Any) -> PhaseSeconds:
        """Return the seconds at some cuts, 0-based, shape (K,), as arrays of shape (N, K)."""
        return PhaseSeconds(
            self.download[:, columns],
            self.upload[:, columns],
            self.server[:, columns],
            self.device[:, columns],
        )


def link_rate(link: Link) -> float:
    """Rate of a link in bit/s at the full resource: as given, or by Shannon."""
    if link.rate is not None:
        return link.rate
    assert link.bandwidth is not None  # the scenario saw to it
    rate = float(shannon_rate(link.bandwidth, link.signal_to_noise(link.bandwidth)))
    if not 0 < rate < float("inf"):
        raise InputError(
            f"the link's rate by Shannon is {rate:g} bit/s; check bandwidth, transmit power, "
            "channel gain and noise density, or its snr"
        )
    return rate


def traffic_bits(model_bytes: Any, crossing_bytes: Any, samples: Any, epochs: Any) -> Any:
    """Bits in one direction and round: the model once, the cut's tensor once a sample and epoch.

    Down it is the gradient of the smashed data (Eq. 2, 8), up the smashed data (Eq. 5, 11).
    """
    return 8.0 * (model_bytes + epochs * samples * crossing_bytes)


class Exchanged(NamedTuple):
    """Bytes of gradients of tied weights that go down and up in a round; arrays or 0."""

    down: Any = 0.0
    up: Any = 0.0


def exchanged_in_round(scenario: Scenario, profile: ModelProfile) -> Exchanged:
    """Return what devices and server exchange of tied weights, shape (N, L) each; 0 without copies.

    The server's gradients go down for every mini-batch, and the device's up with the next one:
    after the last, the weight itself goes up with the device's part. A device without a batch size
    has one mini-batch in an epoch.
    """
    if not has_copies(profile):
        return Exchanged()
    fleet, epochs = scenario.fleet(), scenario.training.epochs
    batches = [-(-device.samples // (device.batch_size or device.samples)) for device in fleet]
    steps, size = epochs * np.array(batches, dtype=np.float64), exchanged_bytes(profile)
    return Exchanged(np.outer(steps, size), np.outer(steps - 1, size))


class RoundSetting(NamedTuple):
    """What the seconds of a device's round depend on beside its cut; scalars or arrays.

    Parameters
    ----------
    samples, epochs
        Samples of the device (Dn) and epochs of a round (Upsilon).
    downlink, uplink
        Rates of the whole channels in bit/s (Eq. 1 and 4, `radio.shannon_rate`).
    """

    samples: Any
    epochs: Any
    downlink: Any
    uplink: Any


NOTHING = Exchanged()


def full_resource_seconds(
    model_bytes: Any,
    smashed_bytes: Any,
    gradient_bytes: Any,
    device_s: Any,
    server_s: Any,
    setting: RoundSetting,
    exchanged: Exchanged = NOTHING,
) -> tuple[Any, Any, Any, Any]:
    """Seconds of download, upload, server and device part at the full resource (Eq. 2-11).

    Parameters
    ----------
    model_bytes, smashed_bytes, gradient_bytes
        The device's part of the model, and what crosses the cut up and down for one sample.
    device_s, server_s
        Seconds of the two parts, forward and backward, for one sample: work over full speed.
    setting
        Samples, epochs and rates.
    exchanged
        What else goes down and up, whatever the number of samples.

    Notes
    -----
    Plain arithmetic on scalars or arrays of any namespace, and linear in the first five arguments:
    given the coefficients of regression curves, it gives the coefficients of the phases' curves.
    """
    samples, epochs = setting.samples, setting.epochs
    return (
        traffic_bits(model_bytes + exchanged.down, gradient_bytes, samples, epochs)
        / setting.downlink,
        traffic_bits(model_bytes + exchanged.up, smashed_bytes, samples, epochs) / setting.uplink,
        epochs * samples * server_s,
        epochs * samples * device_s,
    )


class TaskFractions(NamedTuple):
    """Which part of a phase's seconds belongs to which of its tasks, arrays that broadcast.

    ``model_down`` and ``model_up``: the model's part of all that is downloaded and uploaded;
    ``forward``: the forward passes' part of all that the device computes.
    """

    model_down: FloatArray
    model_up: FloatArray
    forward: FloatArray


class TaskSeconds(NamedTuple):
    """Seconds of a round's tasks in the order in which a batch goes through them.

    The device part of the model goes down, the device computes forward, uploads the smashed data,
    the server computes, the gradient comes down, the device computes backward, and at the end of
    the round the device part goes up.
    """

    model_down: FloatArray
    forward: FloatArray
    upload: FloatArray
    server: FloatArray
    gradient: FloatArray
    backward: FloatArray
    model_up: FloatArray


def task_seconds(phases: PhaseSeconds, part: TaskFractions) -> TaskSeconds:
    """Divide the seconds of phases among their tasks; arrays that broadcast."""
    return TaskSeconds(
        model_down=phases.download * part.model_down,
        forward=phases.device * part.forward,
        upload=phases.upload * (1 - part.model_up),
        server=phases.server,
        gradient=phases.download * (1 - part.model_down),
        backward=phases.device * (1 - part.forward),
        model_up=phases.upload * part.model_up,
    )


def task_fractions(
    scenario: Scenario, profile: ModelProfile, columns: Any, crossing: Any = None
) -> TaskFractions:
    """Divide the phases of `full_resource_seconds` among their tasks.

    Parameters
    ----------
    columns
        0-based cuts, shape (K,): the fractions have shape (N, K). Shape (N, 1), a cut of its own
        for each device: the fractions have that shape.
    crossing
        Bytes of a sample that cross down and up, two arrays of that shape, where they are not those
        of the profile.

    Notes
    -----
    Device seconds are divided like the device's work, or like its own seconds where they are
    measured or follow from a machine model.
    """
    samples = np.array([device.samples for device in scenario.fleet()], dtype=np.float64)[:, None]
    epochs, model = scenario.training.epochs, profile.device_model_bytes[columns]
    forward = forward_fractions(scenario, profile)
    rows = np.arange(len(forward))[:, None]
    alone = traffic_bits(model, 0.0, samples, epochs) * np.ones_like(samples)
    if crossing is None:
        crossing = profile.gradient_bytes[columns], profile.smashed_bytes[columns]
    down, up = (
        traffic_bits(model + _at(beside, rows, columns), size, samples, epochs)
        for size, beside in zip(crossing, exchanged_in_round(scenario, profile), strict=True)
    )
    return TaskFractions(_ratio(alone, down), _ratio(alone, up), forward[rows, columns])


def _at(table: Any, rows: Any, columns: Any) -> Any:
    """Return the entries of a table of devices and cuts, or the number that is there instead."""
    return table[rows, columns] if np.ndim(table) else table


def forward_fractions(scenario: Scenario, profile: ModelProfile) -> FloatArray:
    """Shape (N, L): which part of a device's seconds at a cut is the forward pass."""
    speeds = [device.speed for device in scenario.fleet()]
    found: dict[SpeedSource, FloatArray] = {}
    for speed in set(speeds):
        if isinstance(speed, int | float):
            there, back = profile.device_forward_flop, profile.device_backward_flop
        else:
            layers, message = layer_seconds(profile, speed), message_seconds(profile, speed)
            there = np.cumsum(layers.forward) + message
            back = np.cumsum(layers.backward) + message
        found[speed] = _ratio(there, there + back)
    return np.stack([found[speed] for speed in speeds])


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Divide where there is something, else 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def round_latency(seconds: Any, shares: Any) -> Any:
    """Latency of a round in s with shares of the resources (Eq. 10 and 12).

    Parameters
    ----------
    seconds
        Shape (..., 4): download, upload, server and device seconds at the full resource.
    shares
        Shape (..., 3): fractions above 0 of downlink, uplink and server.
    """
    return (seconds[..., :3] / shares).sum(axis=-1) + seconds[..., 3]


def phase_seconds(scenario: Scenario, profile: ModelProfile) -> PhaseSeconds:
    """Build the table of seconds of a scenario with one server.

    Raises
    ------
    InputError
        More than one server, a measured machine that the profile does not have, or one with
        unmeasured rows.
    """
    server = single_server(scenario)
    fleet = scenario.fleet()
    work = {speed: device_seconds_per_sample(profile, speed) for speed in {d.speed for d in fleet}}
    return PhaseSeconds(
        *full_resource_seconds(
            profile.device_model_bytes,
            profile.smashed_bytes,
            profile.gradient_bytes,
            np.stack([work[d.speed] for d in fleet]),
            server_seconds_per_sample(profile, server.speed),
            _round_setting(scenario, fleet),
            exchanged_in_round(scenario, profile),
        )
    )


def phase_curves(scenario: Scenario, profile: ModelProfile) -> dict[str, FloatArray] | None:
    """Return the curves of the four phases over a cut that need not be an integer.

    Returns
    -------
    dict or None
        Family -> coefficients, shape (N, 4, k), whose values add up; the phases are download,
        upload, server and device. None where the profile lacks the curve of a column, something is
        in no curve (what is exchanged of tied weights), or a speed is that of a measured machine.
    """
    server, fleet = single_server(scenario), scenario.fleet()
    curves = profile.curves or {}
    speeds = [device.compute for device in fleet]
    if has_copies(profile) or server.compute is None or None in speeds:
        return None
    if set(curves) < set(profile.REQUIRED):
        return None
    own = np.array(speeds, dtype=np.float64)[:, None]
    setting = _round_setting(scenario, fleet)
    found = {}
    for family in dict.fromkeys(curve.family for curve in curves.values()):
        size = family_size(family, profile.layer_count)
        part = {name: _coefficients(curves[name], family, size) for name in profile.REQUIRED}
        phases = full_resource_seconds(
            part["device_model_bytes"],
            part["smashed_bytes"],
            part["gradient_bytes"],
            (part["device_forward_flop"] + part["device_backward_flop"]) / own,
            (part["server_forward_flop"] + part["server_backward_flop"]) / server.compute,
            setting,
        )
        found[family] = np.stack(phases, axis=1)
    return found


def _coefficients(curve: Curve, family: str, size: int) -> FloatArray:
    """Coefficients (k,) of a curve if it is of the family, else zeros."""
    if curve.family != family:
        return np.zeros(size)
    return np.array(curve.coefficients)


def _round_setting(scenario: Scenario, fleet: list[Device]) -> RoundSetting:
    """Return the setting of a round, a column (N, 1) where devices differ."""
    down = [link_rate(scenario.link(device, "downlink")) for device in fleet]
    up = [link_rate(scenario.link(device, "uplink")) for device in fleet]
    return RoundSetting(
        samples=np.array([device.samples for device in fleet], dtype=np.float64)[:, None],
        epochs=scenario.training.epochs,
        downlink=np.array(down)[:, None],
        uplink=np.array(up)[:, None],
    )


def single_server(scenario: Scenario) -> Server:
    """Return the one server whose compute is shared; raise `InputError` for several."""
    if not scenario.servers:
        raise InputError(
            "servers: there is none, only compute nodes, and this problem shares a server; add one "
            "or ask for the problem 'pipeline_partition'"
        )
    if len(scenario.servers) != 1:
        raise InputError(
            f"servers: there are {len(scenario.servers)}, this problem shares exactly one"
        )
    return scenario.servers[0]


def device_seconds_per_sample(profile: ModelProfile, speed: SpeedSource) -> FloatArray:
    """Shape (L,): seconds of the device's part, forward and backward, for one sample (Eq. 3, 9).

    `speed` is FLOP/s, the name of a machine that the profile was measured on, or a machine model,
    with which every batch costs a message sent and one received as well.
    """
    if isinstance(speed, str):
        return profile.device_seconds(speed)
    if isinstance(speed, MachineModel):
        layers = layer_seconds(profile, speed)
        messages = 2 * message_seconds(profile, speed)
        return np.cumsum(layers.forward + layers.backward) + messages
    profile.expect_work()
    return (profile.device_forward_flop + profile.device_backward_flop) / speed


def server_seconds_per_sample(profile: ModelProfile, speed: SpeedSource) -> FloatArray:
    """Shape (L,): seconds of the server's part for one sample at its full speed (Eq. 6, 7).

    `speed` as in `device_seconds_per_sample`.
    """
    if isinstance(speed, str):
        return profile.server_seconds(speed)
    if isinstance(speed, MachineModel):
        layers = layer_seconds(profile, speed)
        total = layers.forward + layers.backward
        behind = np.append(np.cumsum(total[:0:-1])[::-1], 0.0)
        return behind + 2 * message_seconds(profile, speed)
    profile.expect_work()
    return (profile.server_forward_flop + profile.server_backward_flop) / speed
