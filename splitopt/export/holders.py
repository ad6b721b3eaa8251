"""Who holds what by a plan: for every client its cuts, and the party that has each part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from splitopt.errors import InputError
from splitopt.training.program import Allocation, Party, Program


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
    allocation: Allocation = field(default_factory=dict)


def chains_of(program: Program, source: str = "plan") -> tuple[Chain, ...]:
    """Return the chain of every client of a plan with a decision.

    Raises
    ------
    InputError
        A client and a server or node have the same name.
    """
    role = "owner" if program.both_ends else "device"
    chains = []
    for client in program.clients:
        if client.name in {party.name for party in program.holders}:
            other = next(party for party in program.holders if party.name == client.name)
            raise InputError(
                f"{source}: {client.name!r} is the name of a {role} and of a {other.role}; rename "
                "one of them, an export tells parties by their names"
            )
        own = Party(client.name, role)
        # An owner holds both ends of its chain, a device only the first.
        parties = (own, *program.holders_of(client), own)[: len(client.cuts) + 1]
        chains.append(
            Chain(
                client.name,
                client.cuts,
                parties,
                client.samples,
                client.batch_size,
                client.allocation,
            )
        )
    return tuple(chains)


def parties_of(chains: Sequence[Chain]) -> list[Party]:
    """Return all parties, each once, clients first."""
    clients = [chain.parties[0] for chain in chains]
    return list(dict.fromkeys([*clients, *(party for chain in chains for party in chain.parties)]))
