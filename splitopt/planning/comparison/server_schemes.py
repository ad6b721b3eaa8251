"""Federated learning, and the schemes that split between the devices and one server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from splitopt.latency.sequential import device_round
from splitopt.latency.split_federated import PhaseSeconds
from splitopt.planning.comparison.loads import (
    batch_sizes,
    copies_memory,
    cut_words,
    device_loads,
    server_rent,
    shared_memory,
)
from splitopt.planning.comparison.rows import SchemeRow, none, unsolved
from splitopt.planning.planner import plan
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import PHASES, CutAndResources
from splitopt.problems.cut_and_resources.tables import tables_from_scenario
from splitopt.problems.limits import memory_words, why_no_common_cut
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario, Server
from splitopt.scenario.parts import Privacy
from splitopt.units import readable_bytes

COMMON_CUT = ("sl", "sflv1", "sflv2")
_WORDS = {
    "download": "the download of {}",
    "device": "the computing of {}",
    "upload": "the upload of {}",
    "server": "the server's work for {}",
}


@dataclass(frozen=True)
class Ground:
    """A scenario with its one server, and the seconds of every device and cut."""

    scenario: Scenario
    profile: ModelProfile
    problem: CutAndResources

    @classmethod
    def of(cls, scenario: Scenario, profile: ModelProfile) -> Ground:
        """Build the tables; priorities do not count, rounds are compared in plain seconds.

        The server's memory is no budget here: what it holds depends on the scheme.
        """
        tables = tables_from_scenario(scenario, profile)
        plain = dict.fromkeys(("curves", "priority", "seconds_per_joule", "budgets"))
        return cls(scenario, profile, CutAndResources(**tables | plain, objective="makespan"))

    def energy(self, cuts: IntArray) -> float | None:
        """Joule of all devices in a round, None if their powers are unknown."""
        known = self.problem.device_w is not None and self.problem.radio_w is not None
        return float(self.problem.energy(self.problem.complete(cuts)).sum()) if known else None

    def everyone(self, cut: int) -> IntArray:
        """Give the same cut to all devices."""
        return np.full(self.problem.devices, cut, dtype=np.int64)


def federated(scenario: Scenario, profile: ModelProfile) -> SchemeRow:
    """Federated learning: everything on the devices, links divided for the shortest round."""
    bare = without_server(scenario)
    ground = Ground.of(bare, profile)
    cuts = ground.everyone(profile.layer_count)
    stuck = np.flatnonzero(~ground.problem.permits(cuts))
    if stuck.size:
        names = scenario.fleet()
        device = names[stuck[0]].name
        others = f" and {stuck.size - 1} more" if stuck.size > 1 else ""
        return none(
            "fl",
            "infeasible",
            f"the whole model does not fit into the memory of {device}{others}",
        )
    model = float(profile.device_model_bytes[-1])
    memory = scenario.servers[0].memory if scenario.servers else None
    if memory is not None and model > memory:
        reason = (
            f"the server needs {memory_words(model)} for the model that it averages, and its "
            f"memory is {readable_bytes(memory)}"
        )
        return none("fl", "infeasible", reason)
    phases = ground.problem.phases(ground.problem.complete(cuts))
    loads = device_loads(bare, profile, cuts) | {"leakage": None}
    priced = bool(scenario.servers) and scenario.servers[0].price_per_hour is not None
    return SchemeRow(
        scheme="fl",
        status="feasible",
        cut="none",
        proved=True,
        gap=0.0,
        round_s=float(phases.sum(axis=1).max()),
        server_memory_bytes=model,
        energy_j=ground.energy(cuts),
        round_cost=0.0 if priced else None,
        limit=_slowest(phases, [d.name for d in scenario.fleet()]),
        **loads,
    )


def without_server(scenario: Scenario) -> Scenario:
    """Give the scenario of federated learning: nothing for a server to do, nothing that leaks."""
    open_devices = tuple(d.model_copy(update={"leakage_limit": None}) for d in scenario.devices)
    return scenario.model_copy(
        update={
            "servers": (Server(name="averaging", compute=1.0),),  # it has nothing to compute
            "privacy": Privacy(),  # no activation leaves a device
            "devices": open_devices,
        }
    )


def common_cut(scheme: str, ground: Ground) -> SchemeRow:
    """Vanilla SL, SplitFedV1 or SplitFedV2 at the best cut that all devices can share."""
    possible = _possible(scheme, ground)
    if isinstance(possible, str):
        return none(scheme, "infeasible", possible)
    measure = _ROUNDS[scheme]
    rounds = {int(c) + 1: measure(ground, int(c) + 1) for c in np.flatnonzero(possible)}
    cut = min(rounds, key=lambda c: rounds[c][0])
    seconds, limit = rounds[cut]
    cuts = ground.everyone(cut)
    return SchemeRow(
        scheme=scheme,
        status="feasible",
        cut=cut_words(ground.profile, cuts),
        proved=True,
        gap=0.0,
        round_s=seconds,
        server_memory_bytes=_server_memory(scheme, ground, cut),
        energy_j=ground.energy(cuts),
        round_cost=server_rent(ground.scenario, seconds),
        limit=limit,
        **device_loads(ground.scenario, ground.profile, cuts),
    )


def dp_mora(ground: Ground, objective: str, time_limit_s: float | None, seed: int) -> SchemeRow:
    """DP-MORA's plan with a cut and shares per device: the answer of `splitopt.plan`."""
    scheme = f"dp_mora_{objective}"
    made = plan(
        ground.scenario,
        problem="cut_and_resources",
        objective=objective,
        time_limit_s=time_limit_s,
        seed=seed,
    )
    if made.decision is None or made.prediction is None:
        return unsolved(scheme, made.result)
    cuts = np.array(made.decision["cut"], dtype=np.int64)
    seconds, worst = made.prediction["round_s"], made.prediction["bottleneck"]
    return SchemeRow(
        scheme=scheme,
        status="feasible",
        cut=cut_words(ground.profile, cuts),
        proved=made.result["outcome"] == "optimal",
        gap=made.result["gap"],
        round_s=seconds,
        server_memory_bytes=copies_memory(ground.scenario, ground.profile, cuts),
        energy_j=made.prediction.get("energy_j"),
        round_cost=server_rent(ground.scenario, seconds),
        limit=_WORDS[worst["phase"]].format(worst["device"]),
        **device_loads(ground.scenario, ground.profile, cuts),
    )


def _possible(scheme: str, ground: Ground) -> BoolArray | str:
    """Shape (L,): the cuts that all devices and the server can take, or why there are none."""
    scenario, profile, problem = ground.scenario, ground.profile, ground.problem
    possible = np.array(problem.allowed.all(axis=0))
    possible[-1] = False  # nothing would be split
    if not possible.any():
        return why_no_common_cut(scenario, profile)
    memory = scenario.servers[0].memory
    if memory is None:
        return possible
    need = [_server_memory(scheme, ground, cut + 1) for cut in range(profile.layer_count)]
    fits = np.array([size is None or size <= memory for size in need])
    if not (possible & fits).any():
        least = min(need[cut] or 0.0 for cut in np.flatnonzero(possible))
        return (
            f"the server needs {memory_words(least)} at the cut that needs least, and its memory "
            f"is {readable_bytes(memory)}"
        )
    return np.array(possible & fits)


def _server_memory(scheme: str, ground: Ground, cut: int) -> float | None:
    if scheme == "sflv1":
        return copies_memory(ground.scenario, ground.profile, ground.everyone(cut))
    sizes = batch_sizes(ground.scenario)
    return shared_memory(ground.profile, cut, None if sizes is None else float(sizes.max()))


def _in_turn(ground: Ground, cut: int) -> tuple[float, str]:
    """Vanilla SL: each device alone, with all of the links and the server."""
    problem, cuts = ground.problem, ground.everyone(cut)
    seconds = PhaseSeconds(problem.download_s, problem.upload_s, problem.server_s, problem.device_s)
    total = problem.chosen(cuts).sum(axis=1)
    words = ("downloads", "uploads", "the server's work", "computing")[int(total.argmax())]
    return float(device_round(seconds, cuts).sum()), f"{words}, one device after the other"


def _side_by_side(ground: Ground, cut: int) -> tuple[float, str]:
    """SplitFedV1: all at once, links and server divided for the shortest round."""
    phases = ground.problem.phases(ground.problem.complete(ground.everyone(cut)))
    names = [device.name for device in ground.scenario.fleet()]
    return float(phases.sum(axis=1).max()), _slowest(phases, names)


def _one_server_model(ground: Ground, cut: int) -> tuple[float, str]:
    """SplitFedV2: devices and links side by side, then the server takes one after the other."""
    cuts = ground.everyone(cut)
    queue = float(ground.problem.server_s[:, cut - 1].sum())
    devices = replace(ground.problem, server_s=np.zeros_like(ground.problem.server_s))
    phases = devices.phases(devices.complete(cuts))
    longest = float(phases.sum(axis=1).max())
    names = [device.name for device in ground.scenario.fleet()]
    limit = "the server's queue" if queue > phases.max() else _slowest(phases, names)
    return longest + queue, limit


_ROUNDS: dict[str, Callable[[Ground, int], tuple[float, str]]] = {
    "sl": _in_turn,
    "sflv1": _side_by_side,
    "sflv2": _one_server_model,
}


def _slowest(phases: FloatArray, names: list[str]) -> str:
    """Name the longest phase of the slowest device, given phases (N, 4)."""
    slowest = int(phases.sum(axis=1).argmax())
    return _WORDS[PHASES[int(phases[slowest].argmax())]].format(names[slowest])
