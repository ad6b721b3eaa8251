"""The parties of a plan as services: the command that joins each to the run, and what it needs.

Every party runs ``splitopt train PLAN --wire --rank K``, as over several machines by hand. Rank 0
leads; a service is named after its rank, since names of parties may be any text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from splitopt.errors import InputError, shown
from splitopt.export.deployment.train_options import DATA, reads_data, shared_options
from splitopt.problems.memory import (
    device_memory_bytes,
    server_copies_bytes,
    server_shared_bytes,
)
from splitopt.training.other_schemes import SHARED_SERVER
from splitopt.training.two_servers import FED
from splitopt.training.wire.roles import roles_of
from splitopt.training.wire.transport.tls import LEADER

if TYPE_CHECKING:
    from splitopt.export.plan_job import PlanJob
    from splitopt.training.program import ClientPlan, Program

PORT = 29500
FED_PORT = 29501
SECRETS = "/run/secrets"
RESULTS = "/results"
PLAN_PATH = "/splitopt/plan.json"
PROCESS_BYTES = 512 * 2**20
"""What a process takes beside the plan's own bytes: 454 MiB with PyTorch, as measured on x86-64."""
LEAST_CORES = 0.05
_PORTS = {"server": PORT, "coordinator": PORT, "fed server": FED_PORT, "node": 0, "edge server": 0}
IMAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
JOIN_S = 600
"""Seconds for which parties wait for one another: images come at different times."""


@dataclass(frozen=True)
class Service:
    """One party as a service.

    Parameters
    ----------
    rank, party, role
        Its number, its name in the plan, and ``server``, ``coordinator``, ``device``, ``owner``,
        ``node``, ``edge server`` (one of several that rank 0 is not) or ``fed server``.
    command
        The arguments of its process.
    port
        On which it listens, 0 for any that is free, None where nobody connects to it.
    cores
        Which part of a core's time the plan has it compute for, at least `LEAST_CORES`.
    planned_bytes
        What its parts of the model take while it trains, None where the plan does not know.
    limit_bytes
        The memory that the scenario says it has, None where it says none.
    data
        ``own`` or ``shared`` where it reads data from `DATA`, or None.
    """

    rank: int
    party: str
    role: str
    command: tuple[str, ...]
    port: int | None
    cores: float
    planned_bytes: float | None
    limit_bytes: float | None
    data: str | None

    @property
    def name(self) -> str:
        """Return its name as a host."""
        return host_of(self.rank)

    @property
    def has_results(self) -> bool:
        """Report whether it writes files of the run that are to be kept."""
        return bool(_outputs(self.role))

    @property
    def requested_bytes(self) -> int:
        """Return the memory that it is sure to need."""
        return PROCESS_BYTES + round(self.planned_bytes or 0)

    @property
    def most_bytes(self) -> int:
        """Return the memory that it is stopped at: a process of twice the usual size, and more."""
        own = max(self.limit_bytes or 0, self.planned_bytes or 0)
        return 2 * PROCESS_BYTES + round(own)


def host_of(rank: int) -> str:
    """Return the name of the service of a rank."""
    return f"rank-{rank}"


def services_of(job: PlanJob) -> tuple[Service, ...]:
    """Return a service for each rank of a plan's run.

    Raises
    ------
    InputError
        The plan is not run over connections, or options do not go with it.
    """
    program = job.program
    program.expect_parties(job.source)
    fed = job.deployment.fed_server
    if fed and len({client.cuts for client in program.clients}) != 1:
        raise InputError.at("fed_server", "needs one cut that all clients share")
    parties = roles_of(program, fed).parties(program)
    if not IMAGE_NAME.fullmatch(job.deployment.image):
        raise InputError.at("image", f"is {shown(job.deployment.image)}, no name of an image")
    if LEADER in parties:
        raise InputError(f"{job.source}: a party is called {LEADER}, as rank 0 is; rename it")
    options = shared_options(job.deployment.train)
    data, busy, known = reads_data(options), _busy(program), _memory(program)
    found = []
    for rank, party in enumerate((LEADER, *parties)):
        role = _role(program, rank, party, fed)
        plan_name = _main_server(program) if rank == 0 else party
        planned, limit = known.get(plan_name, (None, None))
        found.append(
            Service(
                rank,
                plan_name if rank == 0 else party,
                role,
                _command(rank, 1 + len(parties), role, options, fed),
                _PORTS.get(role),
                min(1.0, max(LEAST_CORES, busy.get(plan_name, 0.0))),
                planned,
                limit,
                data,
            )
        )
    return tuple(found)


def secret_paths(rank: int) -> dict[str, str]:
    """Return what a rank reads in secret: name of the secret -> its path in a container."""
    names = ("token", "ca.pem", f"rank-{rank}.pem", f"rank-{rank}.key")
    return {name: f"{SECRETS}/{name}" for name in names}


def _command(
    rank: int, ranks: int, role: str, options: tuple[str, ...], fed: bool
) -> tuple[str, ...]:
    """Return the arguments of the process of a rank."""
    token, authority, certificate, key = secret_paths(rank).values()
    listening = role in _PORTS
    return (
        "splitopt", "train", PLAN_PATH, "--wire",
        "--rank", str(rank), "--world-size", str(ranks), "--master", f"{host_of(0)}:{PORT}",
        *(("--listen", "0.0.0.0") if listening else ()),
        *(("--listen-port", str(FED_PORT)) if role == "fed server" else ()),
        *(("--fed-server",) if fed else ()),
        "--token-file", token, "--tls-cert", certificate, "--tls-key", key, "--tls-ca", authority,
        *(() if "--join-within" in options else ("--join-within", str(JOIN_S))),
        *options,
        *_outputs(role),
    )  # fmt: skip


def _outputs(role: str) -> tuple[str, ...]:
    """Return where who has results writes them."""
    if role == "fed server":
        return ("--save-model", f"{RESULTS}/model.safetensors")
    if role in ("server", "coordinator"):
        csv, timeline = f"{RESULTS}/rounds.csv", f"{RESULTS}/timeline.json"
        model = f"{RESULTS}/model.safetensors"
        return ("--save-model", model, "--csv", csv, "--timeline", timeline)
    return ()


def _role(program: Program, rank: int, party: str, fed: bool) -> str:
    if rank == 0:
        return "coordinator" if program.both_ends else "server"
    if fed and party == FED:
        return "fed server"
    clients = {client.name for client in program.clients}
    if party in clients:
        return "owner" if program.both_ends else "device"
    return "node" if program.both_ends else "edge server"


def _main_server(program: Program) -> str:
    """Return what rank 0 is called in the plan: its server, or nobody's name of a pipeline."""
    if program.both_ends:
        return "coordinator"
    return program.server_names[0] if program.server_names else program.holders[0].name


def _busy(program: Program) -> dict[str, float]:
    """Return for which fraction of a predicted round each machine computes, by its name."""
    timeline = program.replay.timeline
    found: dict[str, float] = {}
    for place, resource in enumerate(timeline.resources):
        if resource.kind not in ("device", "owner", "node", "server"):
            continue
        own = timeline.resource == place
        seconds = float((timeline.end_s[own] - timeline.start_s[own]).sum())
        several = len(program.server_names) > 1
        is_main = resource.kind == "server" and not several
        name = _main_server(program) if is_main else resource.name
        found[name] = found.get(name, 0.0) + seconds / timeline.makespan_s
    return found


def _memory(program: Program) -> dict[str, tuple[float | None, float | None]]:
    """Return bytes that the plan has each machine use, and that the scenario says it has."""
    scenario, profile = program.scenario, program.profile
    found: dict[str, tuple[float | None, float | None]] = {}
    for device, client in zip(scenario.fleet(), program.clients, strict=True):
        need = device_memory_bytes(device, profile)
        own = None if need is None else float(need[_last_layer(program, client)])
        found[client.name] = (own, device.memory)
    if program.both_ends:
        nodes = {node["name"]: node for node in (program.opened.plan.prediction or {})["nodes"]}
        for party in program.holders:
            node = nodes.get(party.name, {})
            found[party.name] = (node.get("memory_bytes"), node.get("memory_limit_bytes"))
    for server in () if program.both_ends else scenario.servers:
        if server.name in (_main_server(program), *program.server_names):
            found[server.name] = (_server_bytes(program, server.name), server.memory)
    return found


def _server_bytes(program: Program, name: str) -> float | None:
    """Return what the parts of a server take, None where the profile does not say it.

    It has a copy for each client, or one that works on the batches of as many clients as train at
    the same time. Of several servers rank 0 has a copy for each client of all of them, whose state
    it keeps between rounds.
    """
    scenario, profile = program.scenario, program.profile
    has_all = name == _main_server(program)
    own = [has_all or party.allocation.get("server") == name for party in program.clients]
    cut = [client for client in program.clients if client.cuts]
    if not cut:
        return 0.0
    if program.scheme not in (*SHARED_SERVER, "clustered"):
        copies = server_copies_bytes(scenario, profile)
        if copies is None:
            return None
        rows = zip(copies, program.clients, own, strict=True)
        return float(
            sum(row[_last_layer(program, one)] for row, one, is_own in rows if one.cuts and is_own)
        )
    sizes = [client.batch_size or client.samples for client in program.clients]
    clusters = [cluster for groups in program.groups for cluster in groups]
    samples = max((sum(sizes[n] for n in cluster) for cluster in clusters), default=max(sizes))
    together = max(map(len, clusters), default=1)
    devices = len(program.clients) if program.scheme == "splitfed_v2" else together
    shared = server_shared_bytes(profile, samples, devices)
    return None if shared is None else float(shared[_last_layer(program, cut[0])])


def _last_layer(program: Program, client: ClientPlan) -> int:
    """Return the index of the last layer of a client's first part."""
    layers = program.profile.layers
    return layers.index(client.cuts[0]) if client.cuts else len(layers) - 1


__all__ = ["DATA", "Service", "host_of", "secret_paths", "services_of"]
