"""Seconds of a round of the schemes with one server at a cut that is given, not chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from splitopt.planning.comparison.server_schemes import Ground, without_server
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import PHASES
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


def round_at_cut(
    scheme: str,
    scenario: Scenario,
    profile: ModelProfile,
    cut: int | None = None,
    local_steps: int | None = None,
) -> dict[str, float]:
    """Give the seconds of a round by phase; they add up to the round.

    Parameters
    ----------
    scheme
        ``fl``, ``sl``, ``sflv1`` or ``sflv2``, as `splitopt.planning.comparison.rows.LABELS`
        names them. Where devices work side by side, links and server are divided for the shortest
        round, and the phases are those of the slowest device.
    scenario, profile
        The fleet and its model.
    cut
        1..L, the cut of all devices; ``fl`` needs none.
    local_steps
        Mini-batches of every device in a round, instead of the scenario's epochs; each device
        must then state its ``batch_size``.

    Raises
    ------
    InputError
        The scenario has not exactly one server and the scheme needs it.
    """
    if local_steps is not None:
        scenario = _with_steps(scenario, local_steps)
    if scheme == "fl":
        scenario, cut = without_server(scenario), profile.layer_count
    assert cut is not None
    seconds = _ROUNDS[scheme](Ground.of(scenario, profile), cut)
    return {name: float(value) for name, value in zip(PHASES, seconds, strict=True) if value > 0}


def _with_steps(scenario: Scenario, steps: int) -> Scenario:
    """Give a scenario whose round is so many mini-batches: that of one epoch of as many samples."""
    devices = tuple(
        device.model_copy(update={"samples": steps * (device.batch_size or device.samples)})
        for device in scenario.devices
    )
    training = scenario.training.model_copy(update={"epochs": 1})
    return scenario.model_copy(update={"devices": devices, "training": training})


def _in_turn(ground: Ground, cut: int) -> FloatArray:
    """Each device alone, with all of the links and the server."""
    download, upload, server, device = ground.problem.chosen(ground.everyone(cut)).sum(axis=1)
    return np.array([download, device, upload, server])  # as `PHASES`


def _side_by_side(ground: Ground, cut: int) -> FloatArray:
    phases = ground.problem.phases(ground.problem.complete(ground.everyone(cut)))
    return np.asarray(phases[phases.sum(axis=1).argmax()])


def _one_server_model(ground: Ground, cut: int) -> FloatArray:
    """Devices and links side by side, then the server takes one device after the other."""
    server = ground.problem.server_s
    devices = replace(ground, problem=replace(ground.problem, server_s=np.zeros_like(server)))
    found = _side_by_side(devices, cut)
    found[PHASES.index("server")] += server[:, cut - 1].sum()
    return found


_ROUNDS: dict[str, Callable[[Ground, int], FloatArray]] = {
    "fl": _side_by_side,
    "sl": _in_turn,
    "sflv1": _side_by_side,
    "sflv2": _one_server_model,
}
