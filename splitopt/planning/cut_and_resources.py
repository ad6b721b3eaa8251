"""What a plan of `CutAndResources` promises, what limits it, and what more would be worth."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from splitopt.latency.split_federated import link_rate, single_server
from splitopt.planning.budget_worth import budget_rows
from splitopt.planning.fields import leakage_fields, model_fields, power_fields, rate_fields
from splitopt.planning.links import describe_links
from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources import (
    PHASES,
    CutAndResources,
    CutAndResourcesDecision,
)
from splitopt.problems.cut_and_resources.tradeoffs import marginal_values
from splitopt.problems.limits import (
    SERVER_MEMORY,
    allowed_by_leakage,
    allowed_by_memory,
    device_memory_bytes,
    leakage_limits,
    memory_words,
    server_budget,
    unchecked,
)
from splitopt.profiles import ModelProfile
from splitopt.profiles.table.provenance import GUESS
from splitopt.scenario import Device, Scenario
from splitopt.units import readable_bytes

_WAYS: tuple[Literal["downlink", "uplink"], ...] = ("downlink", "uplink")
_SAME = 1e-9
"""Relative difference up to which two devices end together."""


def predict(
    problem: CutAndResources,
    decision: CutAndResourcesDecision,
    scenario: Scenario,
    profile: ModelProfile,
) -> dict[str, Any]:
    """Say what the decision leads to, as plain data in s and fractions.

    ``devices`` has a row per device with its cut, shares, seconds per phase and, where its powers
    are known, energy; ``round_s`` is the slowest device's round, ``total_s`` the sum over devices,
    ``training_s`` all rounds. Of a link that is its own a device has the share 1.
    ``bottleneck`` is the slowest device with its longest phase, how many others end with it, and
    the row of ``worth`` that would save most. ``budgets``, where there are any, is as `budget_rows`
    gives it.
    """
    phases = problem.phases(decision)
    latencies = phases.sum(axis=1)
    slowest = int(latencies.argmax())
    names = [device.name for device in scenario.fleet()]
    rows = [
        {
            "name": name,
            "cut": int(decision.cut[n]),
            "cut_layer": profile.layers[decision.cut[n] - 1],
            "download_share": float(decision.download_share[n]) if problem.shared_links else 1.0,
            "upload_share": float(decision.upload_share[n]) if problem.shared_links else 1.0,
            "server_share": float(decision.server_share[n]),
            **{f"{phase}_s": float(phases[n, i]) for i, phase in enumerate(PHASES)},
            "round_s": float(latencies[n]),
        }
        for n, name in enumerate(names)
    ]
    phase = int(phases[slowest].argmax())
    worth = worth_rows(problem, decision.cut, scenario)
    most = _largest(worth)
    energy = {}
    if problem.device_w is not None and problem.radio_w is not None:
        joule = problem.energy(decision)
        energy["energy_j"] = float(joule.sum())
        rows = [row | {"energy_j": float(j)} for row, j in zip(rows, joule, strict=True)]
    budgets = budget_rows(problem, decision)
    return {
        "objective_unit": objective_unit(problem.objective),
        "devices": rows,
        "round_s": float(latencies[slowest]),
        "total_s": float(latencies.sum()),
        "training_s": float(latencies[slowest] * scenario.training.rounds),
        **energy,
        **leakage_of(problem, decision, scenario, profile),
        "bottleneck": {
            "device": names[slowest],
            "phase": PHASES[phase],
            "phase_s": float(phases[slowest, phase]),
            "fraction_of_round": float(phases[slowest, phase] / latencies[slowest])
            if latencies[slowest] > 0
            else 0.0,
            "slowest_devices": int((latencies >= latencies[slowest] * (1 - _SAME)).sum()),
            "helps_most": most["resource"] if most["per_percent"] > 0 else None,
            "saved_per_percent": most["per_percent"],
        },
        "worth": worth,
        **({"budgets": budgets} if budgets else {}),
    }


def leakage_of(
    problem: CutAndResources,
    decision: CutAndResourcesDecision,
    scenario: Scenario,
    profile: ModelProfile,
) -> dict[str, Any]:
    """Return what the cuts leak, how that is known, and which devices the limit binds.

    A limit binds a device whose next shallower cut it alone rules out. Empty without a leakage.
    """
    if profile.leakage is None:
        return {}
    at, limits, fleet = decision.cut - 1, leakage_limits(scenario), scenario.fleet()
    fits = allowed_by_memory(fleet, profile)
    above = np.maximum(at - 1, 0)
    bound = (at > 0) & (profile.leakage[above] > limits) & fits[np.arange(problem.devices), above]
    strictest = float(limits.min())
    return {
        "leakage": {
            "largest": float(profile.leakage[at].max()),
            "state": profile.state_of("leakage"),
            "limit": strictest if np.isfinite(strictest) else None,
            "bound_devices": [fleet[n].name for n in np.flatnonzero(bound)],
        }
    }


def most_worth(problem: CutAndResources, cuts: IntArray, scenario: Scenario) -> dict[str, Any]:
    """Return the row of `worth_rows` that saves most."""
    return _largest(worth_rows(problem, cuts, scenario))


def _largest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return max(rows, key=lambda row: float(row["per_percent"]))


def worth_rows(
    problem: CutAndResources, cuts: IntArray, scenario: Scenario
) -> list[dict[str, Any]]:
    """Say what one more unit of each resource saves of the objective, shares chosen anew.

    Exact derivatives of the optimal value for these cuts, in the objective's unit. ``per_percent``
    is always there; ``unit`` and ``per_unit`` only where all devices share one capacity. Of the
    devices, and of links that are their own, there is the entry of the scenario that is worth most;
    of a group all devices are meant, each with so much more.
    """
    server, groups = single_server(scenario), scenario.devices
    saved = marginal_values(problem, cuts)
    edges = np.cumsum([0, *(group.count for group in groups)])[:-1]
    found = []
    for i, way in enumerate(_WAYS):
        rates = [link_rate(scenario.link(group, way)) for group in groups]
        if problem.shared_links:
            same = _only(set(rates))
            found.append(_worth_row(way, float(saved.resources[i]), same, 1e6, "Mbit/s"))
            continue
        by_group = np.add.reduceat(saved.links[:, i], edges)
        best = int(by_group.argmax())
        label = f"{way} of {_members(groups[best])}"
        found.append(_worth_row(label, float(by_group[best]), rates[best], 1e6, "Mbit/s"))
    found.append(_worth_row("server", float(saved.resources[2]), server.compute, 1e9, "GFLOP/s"))
    by_group = np.add.reduceat(saved.own, edges)
    best = int(by_group.argmax())
    label = f"device{'s' if groups[best].count > 1 else ''} {_members(groups[best])}"
    own = _worth_row(label, float(by_group[best]), groups[best].compute, 1e9, "GFLOP/s")
    return [*found, own]


def _members(group: Device) -> str:
    """Name a device, or a group with how many it has."""
    return group.name if group.count == 1 else f"{group.name} ({group.count})"


def _worth_row(
    name: str, worth: float, capacity: float | None, step: float, unit: str
) -> dict[str, Any]:
    row: dict[str, Any] = {"resource": name, "per_percent": worth / 100}
    if capacity is not None:
        row |= {"capacity": capacity / step, "unit": unit, "per_unit": worth * step / capacity}
    return row


def objective_unit(objective: str) -> str:
    """Give the unit of an objective's value."""
    return "J" if objective == "energy" else "s"


def _only(values: set[float]) -> float | None:
    return next(iter(values)) if len(values) == 1 else None


def explain_infeasible(
    problem: CutAndResources, scenario: Scenario, profile: ModelProfile
) -> str | None:
    """Name the devices without an allowed cut, or the server, and what would have to change."""
    fleet = scenario.fleet()
    if not problem.stuck().size:
        return _server_too_small(problem, scenario, profile)
    stuck = problem.stuck()
    names = ", ".join(fleet[n].name for n in stuck[:8]) + (", ..." if stuck.size > 8 else "")
    limits = leakage_limits(scenario)[stuck]
    within = allowed_by_leakage(scenario, profile)[stuck]
    if profile.leakage is not None and not within.any():
        cut = int(profile.leakage.argmin())
        return (
            f"no cut of {profile.name} meets the leakage limit {limits.min():g} (devices {names}); "
            f"the lowest that can be reached is {profile.leakage[cut]:.6g} at cut {cut + 1} "
            f"({profile.layers[cut]}){_guess(profile)}: raise the limit to that"
        )
    fits = allowed_by_memory(fleet, profile)
    if stuck.size and not (fits[stuck] & within).any():
        first = fleet[stuck[0]]
        need = device_memory_bytes(first, profile)
        assert need is not None  # or nothing would be ruled out
        least = float(need[within[0]].min())
        return (
            f"no allowed cut of {profile.name} fits into the memory of devices {names}; "
            f"{first.name} would need {least / 2**20:,.1f} MiB at batch size {first.batch_size}"
        )
    return None


def energy_notes(scenario: Scenario) -> list[str]:
    """Return a note where powers are stated and energy is not known, since others are missing."""
    missing = {
        "compute_power": [d.name for d in scenario.devices if d.compute_power is None],
        "transmit_power": [
            d.name for d in scenario.devices if scenario.link(d, "uplink").transmit_power is None
        ],
    }
    lacking = [f"{field} of {', '.join(names)}" for field, names in missing.items() if names]
    stated = len(missing["compute_power"]) < len(scenario.devices)
    if not stated or not lacking:
        return []
    return [f"energy is not shown: it needs every device's powers, there is no {lacking[0]}"]


def _guess(profile: ModelProfile) -> str:
    return ", which is a guess" if profile.state_of("leakage") == GUESS else ""


def _server_too_small(
    problem: CutAndResources, scenario: Scenario, profile: ModelProfile
) -> str | None:
    """Report how much memory the server would need at the cuts that need least."""
    if problem.budgets is None or SERVER_MEMORY not in problem.budgets.names:
        return None
    place = problem.budgets.names.index(SERVER_MEMORY)
    least = float(problem.budgets.least(problem.allowed)[place])
    server = single_server(scenario)
    return (
        f"{server.name} holds a copy of its part of {profile.name} for each of the "
        f"{problem.devices} devices, and its memory is "
        f"{readable_bytes(server.memory or 0.0)}; {memory_words(least)} would do"
    )


def notes(scenario: Scenario, profile: ModelProfile) -> list[str]:
    """Say what a reader of the plan should know about its inputs."""
    used = {machine.machine for machine in (*scenario.devices, *scenario.servers)}
    found = [fill for fill in profile.provenance.fills if fill.partition(":")[0] in used]
    found.insert(0, describe_links(scenario))
    found += energy_notes(scenario)
    return found + unchecked(scenario, profile)


_BY_WEIGHT = ("proportional_share", "fspf", "sf3pf")
_SPEED = ("compute", "machine", "machine_model")


def used(scenario: Scenario, profile: ModelProfile, objective: str, solver: str) -> set[str]:
    """Name the fields of a scenario that the plan follows from."""
    found = {
        *model_fields(scenario, profile),
        "training",
        "links.shared",
        *(f"devices[].{name}" for name in ("count", "samples", "memory", *_SPEED)),
        *(f"servers[].{name}" for name in ("memory", *_SPEED)),
        *rate_fields(scenario),
        *power_fields(scenario),
        *leakage_fields(scenario),
    }
    if "spectrum.bandwidth" in found:
        found.add("spectrum.subcarriers")
    held = profile.device_memory_per_sample_bytes is not None and any(
        device.memory is not None for device in scenario.devices
    )
    served = server_budget(scenario, profile) is not None
    if held or served or solver in _BY_WEIGHT:
        found.add("devices[].batch_size")
    if objective != "energy":
        found.add("devices[].priority")
    if objective == "latency_energy":
        found.add("tradeoff")
    return found
