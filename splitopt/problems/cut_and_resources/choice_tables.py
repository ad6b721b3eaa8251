"""The choices of a scenario's devices, each with its seconds: server, cut, rank, bits and more.

A further kind of choice is one more `Kind` in `space_of`, and the tables that depend on it with one
more axis. The seconds are those of `splitopt.latency.split_federated`, whatever is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.encoded import encoded_bytes
from splitopt.latency.energy import device_energy
from splitopt.latency.layer_seconds import SpeedSource
from splitopt.latency.split_federated import (
    RoundSetting,
    device_seconds_per_sample,
    exchanged_in_round,
    full_resource_seconds,
    server_seconds_per_sample,
)
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources.choice_energy import (
    clock_names,
    clocks_of,
    energy_budgets,
    within_energy,
)
from splitopt.problems.cut_and_resources.choice_links import (
    Uplinks,
    downlink_rates,
    has_powers,
    power_names,
    uplinks_of,
)
from splitopt.problems.cut_and_resources.choice_ranks import (
    QUALITY,
    profiles_by_rank,
    quality_budget,
    rank_names,
    within_quality,
)
from splitopt.problems.cut_and_resources.choice_space import DEVICE, ChoiceSpace, Kind
from splitopt.problems.cut_and_resources.seats import check_seats
from splitopt.problems.cut_and_resources.tables import if_all, priorities
from splitopt.problems.limits import allowed_by_leakage, allowed_by_tied
from splitopt.problems.memory import allowed_by_memory, server_copies_bytes
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario, Server
from splitopt.scenario.device_columns import DeviceColumns
from splitopt.scenario.precision import Precision

SERVER, CUT, RANK, UP, DOWN = "server", "cut", "rank", "up", "down"
CLOCK, POWER = "clock", "power"
PER_SERVER = 3
"""Resources of a server: its downlink, its uplink, itself."""
MOST_NUMBERS = 60_000_000
"""Seconds in the tables of a problem: that takes about 2 GB of memory."""
DISTORTION = "distortion"


CHOSEN = (
    "servers, devices[].servers, devices[].frequency, a range of devices[].transmit_power, "
    "servers[].seats, precision, adapters or energy"
)
"""What a scenario states where its devices choose more than a cut, in words."""


def has_choices(scenario: Scenario) -> bool:
    """Whether devices choose more than a cut, or what they may choose is limited beyond it."""
    if scenario.nodes and not scenario.servers:
        return False
    stated = not isinstance(scenario.devices, DeviceColumns) and any(
        device.servers is not None or device.frequency is not None or has_powers(device)
        for device in scenario.devices
    )
    seats = any(server.seats is not None for server in scenario.servers)
    sections = (scenario.precision, scenario.adapters, scenario.energy)
    return len(scenario.servers) > 1 or stated or seats or any(one is not None for one in sections)


@dataclass(frozen=True, eq=False)
class ScenarioChoices:
    """What the devices of a scenario choose between.

    Parameters
    ----------
    space
        The kinds of choice.
    servers
        The names of the K servers.
    shared_links
        Whether the devices of a server share its downlink and uplink.
    seconds
        Shape (4, N, O): of download, upload, server and device at the full resource.
    allowed
        Shape (N, O).
    budgets
        As `CutAndResources` takes them: memory and seats of servers, distortion.
    priority
        Shape (N,), where some device states one.
    powers
        Shape (2, N, O): W of computing and of sending, where those of all devices are known.
    seconds_per_joule
        What energy is worth, where it is stated.
    clocks
        Shape (N, F): see `choice_energy.clocks_of`.
    uplinks
        See `choice_links.uplinks_of`.
    """

    space: ChoiceSpace
    servers: tuple[str, ...]
    shared_links: bool
    seconds: FloatArray
    allowed: BoolArray
    budgets: tuple[dict[str, Any], ...]
    priority: FloatArray | None = None
    powers: FloatArray | None = None
    seconds_per_joule: float | None = None
    clocks: FloatArray | None = None
    uplinks: Uplinks | None = None

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return int(self.allowed.shape[0])

    def columns(self) -> IntArray:
        """Shape (O, 3): the resources that each choice uses: downlink, uplink and server."""
        return PER_SERVER * self.space.options_of(SERVER)[:, None] + np.arange(PER_SERVER)

    def reached_servers(self) -> set[int]:
        """Return the servers that some device may use, 0-based."""
        used = self.allowed.any(axis=0)
        return set(self.space.options_of(SERVER)[used].tolist())

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `ChoicesAndResources`, but for the objective."""
        work = np.zeros((*self.allowed.shape, PER_SERVER * len(self.servers)))
        rows = np.arange(self.space.size)
        shared = range(PER_SERVER) if self.shared_links else (2,)
        for phase in shared:
            work[:, rows, self.columns()[:, phase]] = self.seconds[phase]
        own = self.seconds[3].copy()
        if not self.shared_links:
            own += self.seconds[0] + self.seconds[1]
        return {
            "work_s": work,
            "own_s": own,
            "resources": [
                name
                for server in self.servers
                for name in (f"downlink of {server}", f"uplink of {server}", server)
            ],
            "allowed": self.allowed,
            "choice_names": list(self.space.names()),
            "budgets": list(self.budgets) or None,
            "priority": self.priority,
            "energy_j": None if self.powers is None else energy_of(self.powers, self.seconds),
            "seconds_per_joule": self.seconds_per_joule,
        }


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
def choices_of(scenario: Scenario, profile: ModelProfile) -> ScenarioChoices:
    """Return what the devices of a scenario choose between.

    Raises
    ------
    InputError
        There is no server, a machine has no times in the profile, or the tables would not fit into
        memory.
    InfeasibleError
        A device reaches no server, or the seats are too few.
    """
    if not scenario.servers:
        raise InputError(
            "servers: there is none, only compute nodes, and this problem shares a server; add one "
            "or ask for the problem 'pipeline_partition'"
        )
    by_rank, space = profiles_by_rank(scenario, profile), space_of(scenario, profile)
    devices = scenario.device_count()
    if (numbers := devices * space.size * (PER_SERVER * len(scenario.servers) + 5)) > MOST_NUMBERS:
        raise InputError(
            f"devices: the {space.size:,} choices of {devices:,} devices take {numbers:,} numbers, "
            f"at most {MOST_NUMBERS:,} are built; state fewer devices, servers, ranks, bits, "
            "clocks or powers"
        )
    reached, uplinks = reach_of(scenario), uplinks_of(scenario)
    check_seats(scenario, reached)
    allowed = (
        space.spread(reached, DEVICE, SERVER)
        & space.spread(_allowed_cuts(scenario, by_rank), DEVICE, CUT, RANK)
        & space.spread(within_quality(scenario), RANK)
        & space.spread(_allowed_bits(scenario), UP, DOWN)
        & space.spread(uplinks.offered, DEVICE, POWER)
    )
    clocks = clocks_of(scenario)
    allowed = allowed & space.spread(~np.isnan(clocks), DEVICE, CLOCK)
    table = space.table(allowed, devices).copy()
    phases = _seconds(scenario, by_rank, uplinks, space)
    seconds = np.stack([space.table(phase, devices) for phase in phases])
    # what is not allowed has no numbers: a link that is not there has no rate either
    seconds = np.where(table, seconds, 0.0)
    powers = _powers(scenario, uplinks, space, clocks)
    energy = None if powers is None else energy_of(powers, seconds)
    table = within_energy(scenario, energy, table)
    return ScenarioChoices(
        space=space,
        servers=tuple(server.name for server in scenario.servers),
        shared_links=bool(scenario.links.shared),
        seconds=seconds,
        allowed=table,
        budgets=(*_budgets(scenario, by_rank, space), *energy_budgets(scenario, energy)),
        priority=priorities(scenario.fleet()),
        powers=powers,
        clocks=clocks,
        uplinks=uplinks,
        seconds_per_joule=scenario.tradeoff.seconds_per_joule,
    )


def space_of(scenario: Scenario, profile: ModelProfile) -> ChoiceSpace:
    """Return the kinds of choice of a scenario; those that it leaves no choice have one option."""
    cuts = enumerate(profile.layers, start=1)
    bits = precision_of(scenario)
    return ChoiceSpace(
        (
            Kind(SERVER, tuple(server.name for server in scenario.servers)),
            Kind(CUT, tuple(f"cut {cut} ({layer})" for cut, layer in cuts)),
            Kind(RANK, rank_names(scenario)),
            Kind(UP, tuple(f"{number} bit up" for number in bits.up)),
            Kind(DOWN, tuple(f"{number} bit down" for number in bits.down)),
            Kind(CLOCK, clock_names(clocks_of(scenario))),
            Kind(POWER, power_names(scenario)),
        )
    )


def precision_of(scenario: Scenario) -> Precision:
    """Return in how many bits values may cross; all 32 where nothing is stated."""
    return Precision() if scenario.precision is None else scenario.precision


def reach_of(scenario: Scenario) -> BoolArray:
    """Shape (N, K): which servers each device reaches."""
    servers = scenario.servers
    return np.array(
        [[device.reaches(server) for server in servers] for device in scenario.fleet()],
        dtype=np.bool_,
    )


def _seconds(
    scenario: Scenario, by_rank: list[ModelProfile], uplinks: Uplinks, space: ChoiceSpace
) -> tuple[Any, Any, Any, Any]:
    """Return the seconds of the four phases, spread over devices and kinds."""
    fleet, bits = scenario.fleet(), precision_of(scenario)
    # what crosses a cut is the same at every rank, and so are tied weights
    profile = by_rank[0]
    speeds = {device.speed for device in fleet}
    work = {speed: _work(by_rank, device_seconds_per_sample, speed) for speed in speeds}
    served = [_work(by_rank, server_seconds_per_sample, one.speed) for one in scenario.servers]
    exchanged = exchanged_in_round(scenario, profile)
    up, down = (
        np.stack([encoded_bytes(whole, chosen, d.samples, d.batch_size) for d in fleet])
        for whole, chosen in (
            (profile.smashed_bytes, bits.up),
            (profile.gradient_bytes, bits.down),
        )
    )
    setting = RoundSetting(
        samples=space.spread(np.array([d.samples for d in fleet], dtype=np.float64), DEVICE),
        epochs=scenario.training.epochs,
        downlink=space.spread(downlink_rates(scenario), DEVICE, SERVER),
        uplink=space.spread(uplinks.rate, DEVICE, SERVER, POWER),
    )
    own = space.spread(np.stack([work[d.speed] for d in fleet]), DEVICE, CUT, RANK)
    model = np.stack([one.device_model_bytes for one in by_rank], axis=-1)
    return full_resource_seconds(
        space.spread(model, CUT, RANK),
        space.spread(up, DEVICE, CUT, UP),
        space.spread(down, DEVICE, CUT, DOWN),
        own / space.spread(np.nan_to_num(clocks_of(scenario), nan=1.0), DEVICE, CLOCK),
        space.spread(np.stack(served), SERVER, CUT, RANK),
        setting,
        type(exchanged)(
            *(space.spread(way, DEVICE, CUT) if np.ndim(way) else way for way in exchanged)
        ),
    )


def _work(
    by_rank: list[ModelProfile],
    seconds: Callable[[ModelProfile, SpeedSource], FloatArray],
    speed: SpeedSource,
) -> FloatArray:
    """Shape (L, R): seconds of a sample by cut and rank."""
    return np.stack([seconds(profile, speed) for profile in by_rank], axis=-1)


def energy_of(powers: FloatArray, seconds: FloatArray) -> FloatArray:
    """Shape (N, O): joule of a round, of W (2, N, O) and seconds (4, N, O)."""
    return np.asarray(device_energy(powers[0], seconds[3], powers[1], seconds[1]))


def _powers(
    scenario: Scenario, uplinks: Uplinks, space: ChoiceSpace, clocks: FloatArray
) -> FloatArray | None:
    """Shape (2, N, O): W of computing and of sending, None where one is not known."""
    fleet = scenario.fleet()
    computing = if_all([device.compute_power for device in fleet])
    if computing is None or np.isnan(uplinks.power).any():
        return None
    radio = space.spread(uplinks.power, DEVICE, SERVER, POWER)
    # a clock of f draws f^3 times the power (dynamic power of CMOS: voltage rises with the clock)
    watt = space.spread(computing[:, None] * np.nan_to_num(clocks) ** 3, DEVICE, CLOCK)
    return np.stack([space.table(power, len(fleet)) for power in (watt, radio)])


def _allowed_cuts(scenario: Scenario, by_rank: list[ModelProfile]) -> BoolArray:
    """Shape (N, L, R): the cuts within leakage limits, memory and tied weights."""
    fleet, profile = scenario.fleet(), by_rank[0]
    within = allowed_by_leakage(scenario, profile) & allowed_by_tied(profile, exchanging=True)
    fits = np.stack([allowed_by_memory(fleet, one) for one in by_rank], axis=-1)
    return np.asarray(within[:, :, None] & fits)


def distortion_of(scenario: Scenario) -> FloatArray:
    """Shape (U, D): what bits up and down distort together."""
    bits = precision_of(scenario)
    up, down = np.array(bits.distorts("up")), np.array(bits.distorts("down"))
    return np.asarray(np.add.outer(up, down))


def _allowed_bits(scenario: Scenario) -> BoolArray:
    """Shape (U, D): the bits within the limit of each device."""
    limit = precision_of(scenario).device_limit
    total = distortion_of(scenario)
    return np.asarray(total <= (np.inf if limit is None else limit), dtype=np.bool_)


def _budgets(
    scenario: Scenario, by_rank: list[ModelProfile], space: ChoiceSpace
) -> list[dict[str, Any]]:
    """Return memory and seats of each server, distortion and quality, where they are limited."""
    devices = scenario.device_count()
    known = [server_copies_bytes(scenario, profile) for profile in by_rank]
    copies = [held for held in known if held is not None]
    found = []

    def add(name: str, use: Any, limit: float) -> None:
        found.append({"name": name, "use": space.table(use, devices).copy(), "limit": limit})

    for k, server in enumerate(scenario.servers):
        here = space.spread(np.arange(len(scenario.servers)) == k, SERVER)
        if server.memory is not None and copies:
            held = space.spread(np.stack(copies, axis=-1), DEVICE, CUT, RANK)
            add(memory_name(server), here * held, server.memory)
        if server.seats is not None and server.seats < devices:
            add(seats_name(server), here * 1.0, float(server.seats))
    if (limit := precision_of(scenario).limit) is not None:
        add(DISTORTION, space.spread(distortion_of(scenario), UP, DOWN), limit)
    if (quality := quality_budget(scenario, devices)) is not None:
        add(QUALITY, space.spread(quality[0], RANK), quality[1])
    return found


def memory_name(server: Server) -> str:
    """Name the budget that the memory of a server is."""
    return f"memory of {server.name}"


def seats_name(server: Server) -> str:
    """Name the budget that the seats of a server are."""
    return f"seats of {server.name}"
