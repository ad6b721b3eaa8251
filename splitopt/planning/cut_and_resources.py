"""What a plan of `CutAndResources` promises, and what limits it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from splitopt.latency.split_federated import single_server
from splitopt.planning.budget_worth import budget_rows
from splitopt.planning.explaining import Explainer
from splitopt.planning.fields import leakage_fields, model_fields, power_fields, rate_fields
from splitopt.planning.guesses import fill_notes
from splitopt.planning.links import describe_links
from splitopt.planning.predictions.cut_and_resources import (
    Bottleneck,
    CutAndResourcesPrediction,
    DeviceRound,
    Leakage,
    ResourceWorth,
)
from splitopt.planning.resource_worth import largest, worth_rows
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import (
    PHASES,
    CutAndResources,
    CutAndResourcesDecision,
)
from splitopt.problems.limits import allowed_by_leakage, leakage_limits
from splitopt.problems.memory import (
    SERVER_MEMORY,
    allowed_by_memory,
    device_memory_bytes,
    largest_batch,
    memory_words,
    server_budget,
    unchecked,
)
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.tied import has_copies
from splitopt.profiles.table.provenance import GUESS
from splitopt.scenario import Scenario
from splitopt.units import readable_bytes

_SAME = 1e-9
"""Relative difference up to which two devices end together."""
_BY_WEIGHT = ("proportional_share", "fspf", "sf3pf")
"""Solvers that divide resources by batch size."""
_SPEED = ("compute", "machine", "machine_model")


class CutAndResourcesExplainer(
    Explainer[CutAndResources, CutAndResourcesDecision, CutAndResourcesPrediction]
):
    """Explains plans of `CutAndResources`."""

    problem = "cut_and_resources"
    solver_fields: ClassVar = dict.fromkeys(_BY_WEIGHT, frozenset({"devices[].batch_size"}))

    def predict(
        self, problem: CutAndResources, decision: CutAndResourcesDecision
    ) -> CutAndResourcesPrediction:
        """Compute the seconds by device and phase, what limits them, and what more is worth."""
        phases, scenario = problem.phases(decision), self.scenario
        latencies = phases.sum(axis=1)
        slowest = int(latencies.argmax())
        worth = worth_rows(problem, decision.cut, scenario)
        energy = energy_of(problem, decision)
        return CutAndResourcesPrediction(
            objective_unit="J" if problem.objective == "energy" else "s",
            devices=device_rows(problem, decision, scenario, self.profile),
            round_s=float(latencies[slowest]),
            total_s=float(latencies.sum()),
            training_s=float(latencies[slowest] * scenario.training.rounds),
            energy_j=None if energy is None else float(energy.sum()),
            leakage=leakage_of(problem, decision, scenario, self.profile),
            bottleneck=bottleneck(phases, scenario, largest(worth)),
            worth=worth,
            budgets=budget_rows(problem, decision),
        )

    def explain_infeasible(self, problem: CutAndResources) -> str | None:
        """Name the devices without an allowed cut, or the server, and what would have to change."""
        scenario, profile = self.scenario, self.profile
        fleet, stuck = scenario.fleet(), problem.stuck()
        if not stuck.size:
            return _server_too_small(problem, scenario, profile)
        names = ", ".join(fleet[n].name for n in stuck[:8]) + (", ..." if stuck.size > 8 else "")
        limits = leakage_limits(scenario)[stuck]
        within = allowed_by_leakage(scenario, profile)[stuck]
        if profile.leakage is not None and not within.any():
            cut = int(profile.leakage.argmin())
            return (
                f"no cut of {profile.name} meets the leakage limit {limits.min():g} "
                f"(devices {names}); the lowest that can be reached is {profile.leakage[cut]:.6g} "
                f"at cut {cut + 1} ({profile.layers[cut]}){_guess(profile)}: raise the limit to "
                "that"
            )
        fits = allowed_by_memory(fleet, profile)
        if not (fits[stuck] & within).any():
            first = fleet[stuck[0]]
            need = device_memory_bytes(first, profile)
            assert need is not None  # or nothing would be ruled out
            least = float(need[within[0]].min())
            cuts = 1 + np.flatnonzero(within[0])
            most = max(largest_batch(first, profile, int(cut)) or 0 for cut in cuts)
            batch = f"the largest batch that fits has {most}" if most else "no batch fits"
            return (
                f"no allowed cut of {profile.name} fits into the memory of devices {names}; "
                f"{first.name} would need {least / 2**20:,.1f} MiB at batch size "
                f"{first.batch_size}; {batch}"
            )
        return None

    def notes(self) -> list[str]:
        """Return notes about links, filled counts, powers, and limits that cannot be checked."""
        scenario, profile = self.scenario, self.profile
        return [
            describe_links(scenario),
            *fill_notes(profile, (*scenario.devices, *scenario.servers)),
            *energy_notes(scenario),
            *unchecked(scenario, profile),
        ]

    def used(self) -> set[str]:
        """Name the fields that a plan follows from, whatever its solver."""
        scenario, profile = self.scenario, self.profile
        found = {
            *model_fields(scenario, profile),
            "training.epochs",
            "training.rounds",
            "links.shared",
            *(("devices[].batch_size",) if has_copies(profile) else ()),
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
        if held or served:
            found.add("devices[].batch_size")
        if self.objective != "energy":
            found.add("devices[].priority")
        if self.objective == "latency_energy":
            found.add("tradeoff")
        return found


EXPLAINER = CutAndResourcesExplainer


def device_rows(
    problem: CutAndResources,
    decision: CutAndResourcesDecision,
    scenario: Scenario,
    profile: ModelProfile,
) -> list[DeviceRound]:
    """Return a row per device; of a link that is its own a device has the share 1."""
    phases, energy = problem.phases(decision), energy_of(problem, decision)
    seconds, own = phases.sum(axis=1), np.ones(problem.devices)
    down = decision.download_share if problem.shared_links else own
    up = decision.upload_share if problem.shared_links else own
    return [
        DeviceRound(
            name=device.name,
            cut=int(decision.cut[n]),
            cut_layer=profile.layers[decision.cut[n] - 1],
            download_share=float(down[n]),
            upload_share=float(up[n]),
            server_share=float(decision.server_share[n]),
            download_s=float(phases[n, 0]),
            device_s=float(phases[n, 1]),
            upload_s=float(phases[n, 2]),
            server_s=float(phases[n, 3]),
            round_s=float(seconds[n]),
            energy_j=None if energy is None else float(energy[n]),
            largest_batch=largest_batch(device, profile, int(decision.cut[n])),
        )
        for n, device in enumerate(scenario.fleet())
    ]


def energy_of(problem: CutAndResources, decision: CutAndResourcesDecision) -> FloatArray | None:
    """Shape (N,): Joule of every device in a round, None where powers are not known."""
    known = problem.device_w is not None and problem.radio_w is not None
    return problem.energy(decision) if known else None


def bottleneck(phases: FloatArray, scenario: Scenario, most: ResourceWorth) -> Bottleneck:
    """Return the slowest device, how many end with it, and what would help most.

    Parameters
    ----------
    phases
        Shape (N, 4): seconds by `PHASES`.
    most
        The resource of which more saves most.
    """
    latencies = phases.sum(axis=1)
    slowest = int(latencies.argmax())
    round_s, phase = float(latencies[slowest]), int(phases[slowest].argmax())
    return Bottleneck(
        device=scenario.fleet()[slowest].name,
        phase=PHASES[phase],
        phase_s=float(phases[slowest, phase]),
        fraction_of_round=float(phases[slowest, phase] / round_s) if round_s > 0 else 0.0,
        slowest_devices=int((latencies >= round_s * (1 - _SAME)).sum()),
        helps_most=most.resource if most.per_percent > 0 else None,
        saved_per_percent=most.per_percent,
    )


def leakage_of(
    problem: CutAndResources,
    decision: CutAndResourcesDecision,
    scenario: Scenario,
    profile: ModelProfile,
) -> Leakage | None:
    """Return what the cuts leak, how that is known, and which devices the limit binds.

    A limit binds a device whose next shallower cut it alone rules out. None without a leakage.
    """
    if profile.leakage is None:
        return None
    at, limits, fleet = decision.cut - 1, leakage_limits(scenario), scenario.fleet()
    fits = allowed_by_memory(fleet, profile)
    above = np.maximum(at - 1, 0)
    bound = (at > 0) & (profile.leakage[above] > limits) & fits[np.arange(problem.devices), above]
    strictest = float(limits.min())
    return Leakage(
        largest=float(profile.leakage[at].max()),
        state=profile.state_of("leakage"),
        limit=strictest if np.isfinite(strictest) else None,
        bound_devices=[fleet[n].name for n in np.flatnonzero(bound)],
    )


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
