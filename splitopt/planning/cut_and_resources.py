"""What a plan of `CutAndResources` promises, and what limits it."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from splitopt.latency.split_federated import single_server
from splitopt.planning.budget_worth import budget_rows
from splitopt.planning.choice_reasons import why_no_choice
from splitopt.planning.choice_worth import choice_worth_rows, server_rows
from splitopt.planning.explaining import Explainer
from splitopt.planning.fields import leakage_fields, model_fields, power_fields, rate_fields
from splitopt.planning.freedoms import Freedoms, worth_of_freedoms
from splitopt.planning.guesses import fill_notes
from splitopt.planning.links import describe_links
from splitopt.planning.predictions.cut_and_resources import (
    BudgetUse,
    CutAndResourcesPrediction,
    DeviceRound,
    Leakage,
    ResourceWorth,
)
from splitopt.planning.resource_worth import largest, worth_rows
from splitopt.planning.round_rows import Rounds, bottleneck
from splitopt.planning.worst_round import (
    decided_by,
    round_of,
    served,
    with_worst_rounds,
    worst_round,
)
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import (
    CutAndResources,
    CutAndResourcesDecision,
)
from splitopt.problems.cut_and_resources.assigned import Assigned, assigned
from splitopt.problems.cut_and_resources.choice_decision import ChoiceDecision
from splitopt.problems.cut_and_resources.choice_energy import CARBON, ENERGY
from splitopt.problems.cut_and_resources.choice_ranks import QUALITY, profiles_by_rank
from splitopt.problems.cut_and_resources.choice_tables import DISTORTION, ScenarioChoices
from splitopt.problems.cut_and_resources.from_scenario import choices_in
from splitopt.problems.cut_and_resources.problem import ChoicesAndResources
from splitopt.problems.limits import allowed_by_leakage, allowed_by_tied, leakage_limits
from splitopt.problems.memory import (
    SERVER_MEMORY,
    allowed_by_memory,
    device_memory_bytes,
    largest_batch,
    largest_for_all,
    largest_served,
    memory_words,
    server_copies_bytes,
    unchecked,
)
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.tied import has_copies
from splitopt.profiles.table.provenance import GUESS
from splitopt.scenario import Device, Scenario
from splitopt.units import readable_bytes

_MOST_STUCK = 1_000
"""Devices without an allowed cut that an explanation looks at."""
_BY_WEIGHT = ("proportional_share", "fspf", "sf3pf")
"""Solvers that divide resources by batch size."""
_BETWEEN_SERVERS = (
    "the servers' parts are averaged over all servers; what they send each other for it is not in "
    "the round"
)
_SPEED = ("compute", "machine", "machine_model")


class CutAndResourcesExplainer(
    Explainer[CutAndResources, CutAndResourcesDecision, CutAndResourcesPrediction]
):
    """Explains plans of `CutAndResources`."""

    problem = "cut_and_resources"
    searches = Freedoms
    solver_fields: ClassVar = dict.fromkeys(_BY_WEIGHT, frozenset({"devices[].batch_size"}))

    @cached_property
    def choices(self) -> ScenarioChoices | None:
        """What the devices choose between, None where that is a cut alone; tabulated once."""
        return choices_in(self.scenario, self.profile)

    def pose(self) -> CutAndResources:
        """Build the problem, of the choices that the other methods look at."""
        return CutAndResources.from_scenario(
            self.scenario, self.profile, self.objective, choices=self.choices
        )

    def predict(
        self, problem: CutAndResources, decision: CutAndResourcesDecision
    ) -> CutAndResourcesPrediction:
        """Compute the seconds by device and phase, what limits them, and what more is worth."""
        scenario, profile = self.scenario, self.profile
        given = assigned(problem, decision, scenario, profile, self.choices)
        given = given._replace(phases=served(given.phases))
        phases, several = given.phases, given.server is not None
        round_s = round_of(problem, decision, phases)
        sure = decided_by(problem, decision)
        worth = self._worth(sure, decision)
        energy = energy_of(sure, decision)
        rows = device_rows(given, energy, scenario, profile)
        return CutAndResourcesPrediction(
            objective_unit="J" if problem.objective == "energy" else "s",
            devices=with_worst_rounds(rows, problem, decision),
            servers=server_rows(given, scenario) if several else [],
            round_s=round_s,
            total_s=float(phases.sum()),
            training_s=round_s * scenario.training.rounds,
            energy_j=None if energy is None else float(energy.sum()),
            leakage=leakage_of(given.cut, scenario, profile, _fits(given, scenario, profile)),
            bottleneck=bottleneck(
                phases,
                lambda n: scenario.fleet()[n].name,
                np.ones(problem.devices, np.int64),
                largest(worth),
            ),
            worth=worth,
            budgets=with_units(budget_rows(sure, decision)),
            worst_case=worst_round(problem, decision, scenario),
        )

    def _worth(
        self, problem: CutAndResources, decision: CutAndResourcesDecision
    ) -> list[ResourceWorth]:
        choices = self.choices
        if choices is not None and isinstance(problem, ChoicesAndResources):
            assert isinstance(decision, ChoiceDecision)  # the problem has no other ones
            return choice_worth_rows(problem, choices, decision, self.scenario)
        return worth_rows(problem, decision.cut, self.scenario)

    def search(
        self, problem: CutAndResources, decision: CutAndResourcesDecision
    ) -> Freedoms | None:
        """Find what each kind of choice was worth, where there are several."""
        if not isinstance(problem, ChoicesAndResources) or self.choices is None:
            return None
        return worth_of_freedoms(problem, self.choices, problem.evaluate(decision))

    def explain_infeasible(self, problem: CutAndResources) -> str | None:
        """Name the devices without an allowed cut, or the server, and what would have to change."""
        scenario, profile = self.scenario, self.profile
        stuck = problem.stuck()
        if isinstance(problem, ChoicesAndResources):
            found = why_no_choice(problem, scenario, profile, stuck)
            if found is not None or not stuck.size:
                return found
        if not stuck.size:
            return _server_too_small(problem, scenario, profile)
        fleet = self.some_devices(stuck[:_MOST_STUCK])
        scenario = scenario._with(devices=fleet)
        names = ", ".join(one.name for one in fleet[:8]) + (", ..." if stuck.size > 8 else "")
        limits = leakage_limits(scenario)
        within = allowed_by_leakage(scenario, profile)
        if profile.leakage is not None and not within.any():
            cut = int(profile.leakage.argmin())
            return (
                f"no cut of {profile.name} meets the leakage limit {limits.min():g} "
                f"(devices {names}); the lowest that can be reached is {profile.leakage[cut]:.6g} "
                f"at cut {cut + 1} ({profile.layers[cut]}){_guess(profile)}: raise the limit to "
                "that"
            )
        # the smallest rank needs the least memory
        profile = min(
            profiles_by_rank(scenario, profile), key=lambda one: float(one.device_model_bytes[-1])
        )
        fits = allowed_by_memory(fleet, profile)
        if not (fits & within).any():
            first = fleet[0]
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

    def some_devices(self, indices: IntArray) -> tuple[Device, ...]:
        """Return the devices that some indices of the problem are about."""
        fleet = self.scenario.fleet()
        return tuple(fleet[n] for n in indices)

    def notes(self) -> list[str]:
        """Return notes about links, filled counts, powers, and limits that cannot be checked."""
        scenario, profile = self.scenario, self.profile
        return [
            describe_links(scenario),
            *fill_notes(profile, (*scenario.devices, *scenario.servers)),
            *energy_notes(scenario),
            *([_BETWEEN_SERVERS] if len(scenario.servers) > 1 else ()),
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
            *(("robust",) if scenario.robust is not None else ()),
            *(("devices[].batch_size",) if has_copies(profile) else ()),
            *(f"devices[].{name}" for name in ("count", "samples", "memory", *_SPEED)),
            *(f"servers[].{name}" for name in ("memory", "seats", *_SPEED)),
            "devices[].servers",
            "precision",
            "energy",
            "devices[].frequency",
            "devices[].transmit_power",
            "adapters",
            *rate_fields(scenario),
            *power_fields(scenario),
            *leakage_fields(scenario),
        }
        if "spectrum.bandwidth" in found:
            found.add("spectrum.subcarriers")
        held = profile.device_memory_per_sample_bytes is not None and any(
            device.memory is not None for device in scenario.devices
        )
        limited = any(server.memory is not None for server in scenario.servers)
        served = limited and server_copies_bytes(scenario, profile) is not None
        if held or served or scenario.precision is not None:
            found.add("devices[].batch_size")
        if self.objective != "energy":
            found.add("devices[].priority")
        if self.objective == "latency_energy":
            found.add("tradeoff")
        return found


EXPLAINER = CutAndResourcesExplainer


def device_rows(
    given: Assigned, energy: FloatArray | None, scenario: Scenario, profile: ModelProfile
) -> list[DeviceRound]:
    """Return a row per device; of a link that is its own a device has the share 1."""
    servers = scenario.servers
    rows = Rounds(given.cut, given.share, given.phases, energy).fields(profile)
    served = largest_served(scenario, profile, given.cut)
    by_device = {int(n): own for chosen, own in given.by_rank(profile) for n in chosen}
    return [
        DeviceRound(
            name=device.name,
            **rows[n],
            largest_batch=_least(largest_batch(device, by_device[n], int(given.cut[n])), served[n]),
            server=None if given.server is None else servers[given.server[n]].name,
            bits_up=None if given.bits_up is None else int(given.bits_up[n]),
            bits_down=None if given.bits_down is None else int(given.bits_down[n]),
            clock=None if given.clock is None else float(given.clock[n]),
            adapter_rank=None if given.rank is None else int(given.rank[n]),
            transmit_power_w=None
            if given.power is None or np.isnan(given.power[n])
            else float(given.power[n]),
        )
        for n, device in enumerate(scenario.fleet())
    ]


def _least(one: int | None, other: int | None) -> int | None:
    """Return the smaller of two limits, None for none."""
    return min((value for value in (one, other) if value is not None), default=None)


def energy_of(problem: CutAndResources, decision: CutAndResourcesDecision) -> FloatArray | None:
    """Shape (N,): Joule of every device in a round, None where powers are not known."""
    if isinstance(problem, ChoicesAndResources):
        return None if problem.energy_j is None else problem.energy(decision)
    known = problem.device_w is not None and problem.radio_w is not None
    return problem.energy(decision) if known else None


def with_units(rows: list[BudgetUse]) -> list[BudgetUse]:
    """Return the rows of budgets with the unit of those that are not in byte."""
    units = {
        "seats of ": "devices",
        DISTORTION: "in all",
        QUALITY: "in all",
        ENERGY: "J",
        CARBON: "g of carbon",
    }
    return [
        row.model_copy(
            update={
                "unit": next((u for word, u in units.items() if row.name.startswith(word)), None)
            }
        )
        for row in rows
    ]


def _fits(given: Assigned, scenario: Scenario, profile: ModelProfile) -> BoolArray:
    """Shape (N, L): the cuts that each device has the memory for, with the rank that it has."""
    fleet = scenario.fleet()
    found = np.ones((len(fleet), profile.layer_count), dtype=np.bool_)
    for rows, own in given.by_rank(profile):
        found[rows] = allowed_by_memory([fleet[n] for n in rows], own)
    return found


def leakage_of(
    cuts: IntArray, scenario: Scenario, profile: ModelProfile, fits: BoolArray | None = None
) -> Leakage | None:
    """Return what the cuts (N,) leak, how that is known, and which devices the limit binds.

    A limit binds a device whose next shallower cut it alone rules out. None without a leakage.
    `fits`, shape (N, L), are the cuts that memory allows; by default those of this profile.
    """
    if profile.leakage is None:
        return None
    at, limits, fleet = cuts - 1, leakage_limits(scenario), scenario.fleet()
    fits = allowed_by_memory(fleet, profile) if fits is None else fits
    above = np.maximum(at - 1, 0)
    bound = (at > 0) & (profile.leakage[above] > limits) & fits[np.arange(len(cuts)), above]
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
    server, batch = single_server(scenario), ""
    if profile.sample_gradients == "model":
        within = allowed_by_leakage(scenario, profile) & allowed_by_tied(profile, exchanging=True)
        most = largest_for_all(scenario, profile, within)
        batch = f"; the largest batch that fits has {most}" if most else "; no batch fits"
    return (
        f"{server.name} holds a copy of its part of {profile.name} for each of the "
        f"{problem.devices} devices, and its memory is "
        f"{readable_bytes(server.memory or 0.0)}; {memory_words(least)} would do{batch}"
    )
