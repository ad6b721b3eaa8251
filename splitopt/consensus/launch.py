"""Runs of the protocol: all parties of one machine, or one rank of several machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitopt.consensus.coordinator import Account, WireChannel, WireRun
from splitopt.consensus.parties import Granted, run_device, run_server
from splitopt.documents.json_text import parse_json, read_json
from splitopt.documents.reading import read_text
from splitopt.errors import CapabilityError, InputError
from splitopt.extras import need_torch
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.choice_tables import CHOSEN, has_choices
from splitopt.results import StopReason
from splitopt.scenario import Scenario
from splitopt.secure_sum.keys import need_cryptography
from splitopt.solvers.cut_and_resources.price_consensus import PriceConsensus
from splitopt.storage.temporary import temporary_folder
from splitopt.storage.writing import write_atomic
from splitopt.training.wire.crew import Crew, join
from splitopt.training.wire.processes import Processes
from splitopt.training.wire.ranks import Rank
from splitopt.training.wire.setting import JOIN_S, Setting
from splitopt.training.wire.transport.listener import Listener, listen
from splitopt.training.wire.transport.tokens import Token

if TYPE_CHECKING:
    from splitopt.training.wire.transport.channel import Channel

SERVER = "server"
LEAST = 3
"""Devices: of a sum of two, each takes its own number off and has the other's."""
_DECISION, _OPTIONS = "decision.json", "options.json"
_LOADED = ("splitopt.consensus.launch", "splitopt.consensus.packing", "pint")


@dataclass(frozen=True)
class Found:
    """What a run came to.

    Parameters
    ----------
    stopped
        Why it ended, as for a `Result`.
    objective, bound, gap
        The sum of latencies of the plan is at most the first, and of every plan at least the
        second; in s.
    details
        As the solver's; ``payload_bytes`` are those of the numbers as they travelled to and from
        devices, which are ``message_bytes`` without the byte for the kind of each message, and
        ``key_bytes`` those of public keys.
    decision
        What the server was told, as plain data; None for a coordinator that is told nothing.
    """

    stopped: StopReason
    objective: float
    bound: float
    gap: float
    details: Mapping[str, Any]
    decision: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return asdict(self)


def party_names(devices: int) -> tuple[str, ...]:
    """Names of ranks 1, 2, ...: the devices, and the server; certificates are for these."""
    return (*(f"device-{n + 1}" for n in range(devices)), SERVER)


def agreement_of(devices: int, solver: PriceConsensus) -> dict[str, Any]:
    """Return what all parties must be started with alike."""
    return {
        "protocol": f"{solver.name}/1",
        "devices": devices,
        "neighbours": solver.neighbours,
        "fraction_bits": solver.fraction_bits,
    }


def check_devices(devices: int) -> None:
    """Raise `InputError` for fewer devices than a sum hides."""
    if devices < LEAST:
        raise InputError.at(
            "devices",
            f"are {devices}, and a secure sum needs at least {LEAST}: of a sum of two each takes "
            "its own number off and has the other's; solve it in one process",
        )


def run_parties(
    scenario: Scenario, solver: PriceConsensus, account: Account | None = None
) -> Found:
    """Run the protocol with a process for each device and for the server, all on this machine.

    Each process is given the scenario of its own device alone.

    Parameters
    ----------
    scenario
        Of all devices.
    solver
        The options.
    account
        With limits on time and gap; of this run afterwards.

    Raises
    ------
    InputError
        There are fewer than 3 devices, or the package `cryptography` is missing.
    CapabilityError
        The solver cannot take such a problem, or PyTorch is missing.
    PartyGoneError
        A party has left.
    JoinError, ProcessError
        A process did not come up.
    """
    need_torch("running over connections")
    need_cryptography("price_consensus")
    problem = _posed(scenario)
    check_devices(problem.devices)
    if (why := solver.refusal(problem)) is not None:
        raise CapabilityError(f"price_consensus {why}")
    token, names = Token.new(), party_names(problem.devices)
    with temporary_folder() as place:
        for rank in range(1, problem.devices + 1):
            own = scenario_of(scenario, rank - 1).to_dict()
            write_atomic(place / f"rank-{rank}.json", json.dumps(own))
        write_atomic(place / _OPTIONS, json.dumps(asdict(solver)))
        job = place / _OPTIONS
        with (
            listen(None, 0, token) as listener,
            Processes(
                job,
                names,
                listener.port,
                token,
                JOIN_S,
                module="splitopt.consensus",
                loaded=_LOADED,
            ) as processes,
        ):
            found = lead(listener, solver, problem.devices, account, processes)
        decision = place / _DECISION
        if not decision.exists():
            return found
        return Found(**{**vars(found), "decision": parse_json(read_text(decision), "decision")})


def _posed(scenario: Scenario) -> CutAndResources:
    """Build the problem of a scenario in which devices choose a cut alone."""
    if has_choices(scenario):
        raise InputError(
            f"between processes devices choose a cut at one server, and these choose more ({CHOSEN}"
            "); solve it in one process: splitopt plan --solver price_consensus"
        )
    return CutAndResources.from_scenario(scenario)


def scenario_of(scenario: Scenario, device: int) -> Scenario:
    """Return the scenario with one of its devices alone."""
    return scenario.model_copy(update={"devices": (scenario.fleet()[device],)})


def lead(
    listener: Listener,
    solver: PriceConsensus,
    devices: int,
    account: Account | None = None,
    processes: Processes | None = None,
    join_s: float = JOIN_S,
) -> Found:
    """Run the coordinator, which knows how many devices there are and nothing of any."""
    account = account or Account()
    check = None if processes is None else processes.check
    with Crew(listener, party_names(devices), agreement_of(devices, solver)) as crew:
        crew.wait(join_s, check)
        channel = WireChannel(crew)
        channel.exchange_keys()
        stopped = WireRun(solver, account, channel).run()
    return Found(stopped, account.objective, account.bound, account.gap, account.details)


def follow(
    channel: Channel, devices: int, rank: int, solver: PriceConsensus, own: Scenario | None
) -> Granted | None:
    """Run a device, or the server as the last rank, until the end of the run."""
    if rank == devices + 1:
        return run_server(channel)
    if own is None:
        raise InputError.at("scenario", f"is missing; rank {rank} is a device and needs its own")
    problem = _posed(own)
    if problem.devices == 1:
        row = 0
    elif problem.devices == devices:
        row = rank - 1
    else:
        raise InputError.at(
            "scenario",
            f"has {problem.devices} devices; give a device its own alone, or all {devices}",
        )
    run_device(channel, problem, row, rank - 1, solver)
    return None


def run_rank(
    rank: Rank,
    setting: Setting,
    solver: PriceConsensus,
    own: Scenario | None = None,
    account: Account | None = None,
    join_s: float = JOIN_S,
) -> Found | Granted | None:
    """Run one party whose processes were started one by one.

    Parameters
    ----------
    rank
        0 coordinates, 1 to N are devices, N + 1 is the server.
    setting
        Token, certificate, and where to listen.
    solver, account
        The options, which all have alike, and for rank 0 the limits.
    own
        Of a device: a scenario with it alone, or with all devices in the order of the ranks.
    join_s
        For how long to wait for each other.

    Returns
    -------
    What the run came to for rank 0, the plan for the server, None for a device.
    """
    need_torch("running over connections")
    need_cryptography("price_consensus")
    devices = rank.world_size - 2
    check_devices(devices)
    names = party_names(devices)
    rank.check(names)
    rank.check_protected(setting, names)
    if rank.rank:
        with join(
            rank.host,
            rank.find_port(join_s),
            setting.token,
            rank.rank,
            agreement_of(devices, solver),
            join_s,
            setting.tls,
        ) as channel:
            return follow(channel, devices, rank.rank, solver, own)
    rank.check_listening(setting.host)
    port = 0 if rank.has_store else rank.port
    with listen(
        setting.host, port, setting.token, tls=setting.tls, no_tls=setting.no_tls
    ) as listener:
        rank.publish(listener.port, join_s)
        return lead(listener, solver, devices, account, join_s=join_s)


def run_process(options: Path, rank: int, port: int, join_s: float, token: Token) -> None:
    """Run a rank other than 0 as `run_parties` starts it, beside the file of its options."""
    from splitopt.training.wire.transport.listener import LOOPBACK

    given = read_json(options)
    solver, path = PriceConsensus(**given), options.parent / f"rank-{rank}.json"
    devices = len(list(options.parent.glob("rank-*.json")))
    own = Scenario.load(path) if path.exists() else None
    with join(LOOPBACK, port, token, rank, agreement_of(devices, solver), join_s) as channel:
        granted = follow(channel, devices, rank, solver, own)
    if granted is not None and granted.cuts:
        write_atomic(options.parent / _DECISION, json.dumps(granted.to_dict()))
