"""The solver `price_consensus`: its options, its limits, and one run of all parties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InputError
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.results import StopReason
from splitopt.secure_sum.fixed_point import FixedPoint
from splitopt.secure_sum.masks import Masks, ring_keys
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.messaging.log import Message
from splitopt.solvers.cut_and_resources.price_consensus.coordinator import Plan
from splitopt.solvers.cut_and_resources.price_consensus.device import Device
from splitopt.solvers.cut_and_resources.price_consensus.messages import BITS, Channel
from splitopt.solvers.cut_and_resources.price_consensus.run import CoordinatorRun
from splitopt.solvers.options import MOST_AT_ONCE


@dataclass(frozen=True)
class PriceConsensus(Solver[CutAndResources]):
    """Prices for the resources, answered through masked sums only; then branching messages.

    A round: the coordinator sends a price of each resource to all devices; each finds its best cut
    and sends its roots, one per resource, and its seconds, masked so that only their sums can be
    read. The sums prove the bound -|p|^2 / 4 + sum_n min_l (d + p . roots), and are the value of a
    feasible plan.

    Parameters
    ----------
    max_rounds
        Stop after this many rounds; None for no limit. 1 gives the first plan alone.
    roundings
        Rounded plans to try once the relaxed problem is solved.
    branching
        Go on until the optimum is proved. Without, cuts become known to nobody but the server.
    neighbours
        Each device shares mask keys with at least this many others (all, where there are fewer).
    fraction_bits
        Binary digits behind the point of the masked 128-bit numbers.
    """

    name: ClassVar[str] = "price_consensus"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset({"sum"})
    kind: ClassVar[Kind] = "decentralised"
    takes_prices: ClassVar[bool] = True
    prices_use: ClassVar[str] = "the first that are sent out"

    max_rounds: int | None = None
    roundings: int = 8
    branching: bool = True
    neighbours: int = 8
    fraction_bits: int = 64

    def __post_init__(self) -> None:
        if self.max_rounds is not None:
            check_whole("max_rounds", self.max_rounds, 1)
        check_whole("roundings", self.roundings, 0, MOST_AT_ONCE)
        for name, least in (("neighbours", 2), ("fraction_bits", 0)):
            check_whole(name, getattr(self, name), least)
        if self.fraction_bits >= BITS:
            raise InputError.at("fraction_bits", f"is {self.fraction_bits}, it must be < {BITS}")
        if not isinstance(self.branching, bool):
            raise InputError.at("branching", f"is {self.branching!r}, it must be true or false")

    def refusal(self, problem: CutAndResources) -> str | None:
        """Reject budgets, a single device, whose sum hides nothing, and sums that do not fit."""
        if problem.budgets is not None:
            return f"cannot take budgets ({', '.join(problem.budgets.names)}): it sums no use"
        if problem.infeasibility() is not None:
            return None
        if problem.devices < 2:
            return "needs at least 2 devices: the sum over one device hides nothing"
        allowed = problem.allowed
        worst = float(np.where(allowed, problem.own_s, 0.0).max(axis=1).sum())
        roots = np.where(allowed[:, :, None], problem.roots, 0.0).max(axis=1).sum(axis=0)
        room = self.code.limit / 2
        if max(worst, float(roots.max())) < room:
            return None
        return (
            f"cannot mask sums of {room:.3g} or more with {self.fraction_bits} of 128 bits behind "
            "the point; give the times in a larger unit or take fewer fraction_bits"
        )

    @property
    def code(self) -> FixedPoint:
        """How masked numbers are written."""
        return FixedPoint(BITS, self.fraction_bits)

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Find and prove the best plan, or stop when asked to."""
        return Consensus(self, problem, search).run()


class Consensus(CoordinatorRun):
    """One run with all parties in this process; then only the coordinator and the server act.

    Parameters
    ----------
    solver, problem, search
        What to run, on what, and where to report to.
    tap
        Called with every message.
    """

    def __init__(
        self,
        solver: PriceConsensus,
        problem: CutAndResources,
        search: Search,
        tap: Callable[[Message], object] | None = None,
    ) -> None:
        count, code = problem.devices, solver.code
        devices = [
            device_of(problem, n, n, ring_keys(search.seed, n, count, solver.neighbours), code)
            for n in range(count)
        ]
        self.search = search
        self._problem = problem
        self._server = Server(count, len(problem.resources))
        self._tap = tap
        super().__init__(solver, search, Channel(devices, self._overhear), count, search.prices)

    def accept(self, plan: Plan) -> None:  # noqa: ARG002
        """Propose what the devices have told the server."""
        self.search.propose(self._problem.decision_of(self._server.cuts, self._server.shares))

    def _overhear(self, message: Message) -> None:
        if message.kind == "plan":
            self._server.grant(message)
        if self._tap is not None:
            self._tap(message)


def device_of(
    problem: CutAndResources, row: int, index: int, keys: Mapping[int, bytes], code: FixedPoint
) -> Device:
    """Return the device of a row of a problem, under the number that others call it by."""
    return Device(
        index,
        problem.roots[row],
        problem.own_s[row],
        problem.allowed[row],
        Masks(code, index, keys),
        code,
    )


class Server:
    """Who grants shares: it learns the cut and the shares of every device in an adopted plan."""

    def __init__(self, devices: int, resources: int) -> None:
        self.cuts = np.ones(devices, dtype=np.int64)
        self.shares: FloatArray = np.zeros((devices, resources))

    def grant(self, message: Message) -> None:
        """Record what a device needs."""
        self.cuts[message.sender] = message.fields["cut"]
        self.shares[message.sender] = message.fields["shares"]
