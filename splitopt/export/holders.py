"""Who holds what by a plan: for every client its cuts, and the party that has each part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from splitopt.errors import InputError
from splitopt.planning.planner import OpenedPlan
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.problems.cut_and_resources import CutAndResourcesDecision
from splitopt.problems.pipeline_partition import PipelinePartitionDecision
from splitopt.training.program import Program


class Party(NamedTuple):
    """Who holds parts; ``role`` is ``device``, ``owner``, ``server`` or ``node``."""

    name: str
    role: str


@dataclass(frozen=True)
class Chain:
    """The model of one client, cut into parts.

    Parameters
    ----------
    name
        The device or data owner.
    cuts
        Names of the layers behind which it is cut, from the input to the output.
    parties
        Who holds each part, one more than cuts.
    samples, batch_size
        Of the client's data; no batch size means all samples in one batch.
    allocation
        What the plan gives it, by name: shares, subcarriers, the number of its cluster.
    """

    name: str
    cuts: tuple[str, ...]
    parties: tuple[Party, ...]
    samples: int
    batch_size: int | None
    allocation: Mapping[str, Any] = field(default_factory=dict)


def chains_of(program: Program, source: str = "plan") -> tuple[Chain, ...]:
    """Return the chain of every client of a plan with a decision.

    Raises
    ------
    InputError
        A client and a server or node have the same name.
    """
    others = _others(program.opened)
    role = "device" if program.problem != "pipeline_partition" else "owner"
    allocations = _ALLOCATIONS.get(program.problem, _nothing)(program.opened.decision, program)
    chains = []
    for client, allocation in zip(program.clients, allocations, strict=True):
        if client.name in {party.name for party in others}:
            other = next(party for party in others if party.name == client.name)
            raise InputError(
                f"{source}: {client.name!r} is the name of a {role} and of a {other.role}; rename "
                "one of them, an export tells parties by their names"
            )
        own = Party(client.name, role)
        # An owner holds both ends of its chain, a device only the first.
        parties = (own, *others, own)[: len(client.cuts) + 1]
        chains.append(
            Chain(client.name, client.cuts, parties, client.samples, client.batch_size, allocation)
        )
    return tuple(chains)


def parties_of(chains: Sequence[Chain]) -> list[Party]:
    """Return all parties, each once, clients first."""
    clients = [chain.parties[0] for chain in chains]
    return list(dict.fromkeys([*clients, *(party for chain in chains for party in chain.parties)]))


def _others(opened: OpenedPlan) -> tuple[Party, ...]:
    """Return who holds parts besides the clients, in the order of the forward pass."""
    decision = opened.decision
    if isinstance(decision, PipelinePartitionDecision):
        nodes = opened.scenario.node_list()
        return tuple(Party(nodes[n].name, "node") for n in decision.chain.nodes.tolist())
    return (Party(opened.scenario.servers[0].name, "server"),)


def _nothing(decision: Any, program: Program) -> list[dict[str, Any]]:  # noqa: ARG001
    return [{} for _ in program.clients]


def _shares(decision: CutAndResourcesDecision, program: Program) -> list[dict[str, Any]]:
    shared = program.scenario.links.shared  # of a link of its own a device has all
    server = decision.server_share
    down = decision.download_share if shared else np.ones_like(server)
    up = decision.upload_share if shared else np.ones_like(server)
    return [
        {"download_share": float(a), "upload_share": float(b), "server_share": float(c)}
        for a, b, c in zip(down, up, server, strict=True)
    ]


def _subcarriers(decision: ClusterAndSpectrumDecision, program: Program) -> list[dict[str, Any]]:  # noqa: ARG001
    cluster = {int(n): m for m, members in enumerate(decision.clusters) for n in members}
    return [
        {"cluster": cluster[n], "subcarriers": int(count)}
        for n, count in enumerate(decision.subcarriers)
    ]


_ALLOCATIONS: dict[str, Callable[[Any, Program], list[dict[str, Any]]]] = {
    "cut_and_resources": _shares,
    "cluster_and_spectrum": _subcarriers,
}
"""Problem -> what its decision gives each client; others say it in the decision alone."""
