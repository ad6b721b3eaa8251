"""MP-SL (Tirana et al. 2024, section 3): a chain of compute nodes with a copy per data owner."""

from __future__ import annotations

from splitopt.training.options import Role
from splitopt.training.schemes.base import Client
from splitopt.training.schemes.parallel_copies import ParallelCopies


class Multihop(ParallelCopies):
    """The owner keeps the first and the last part, compute nodes have copies of those between.

    Each owner has one batch on its way at a time, and its copies are nobody else's, so that the
    order in which nodes serve owners changes when things happen but not what is learned.
    """

    name = "multihop"

    def roles_of(self, client: Client) -> tuple[Role, ...]:
        """Owner, compute nodes, owner."""
        nodes: list[Role] = ["server" for _ in client.cuts[1:]]
        return ("device", *nodes, "device")


class UShaped(Multihop):
    """Label-private split learning (Vepakomma et al. 2018): one server between two owner parts."""

    name = "u_shaped"
    takes = "ends"
