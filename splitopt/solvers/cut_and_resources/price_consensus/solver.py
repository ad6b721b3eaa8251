"""The solver `price_consensus`: its options, its limits, and one run of all parties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InputError
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.decision import decision_from_shares
from splitopt.results import OPTIMAL_GAP, StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.messaging.log import Message
from splitopt.solvers.cut_and_resources.messaging.secure_sum import FixedPoint, Masks, ring_keys
from splitopt.solvers.cut_and_resources.price_consensus.coordinator import Coordinator, Plan
from splitopt.solvers.cut_and_resources.price_consensus.device import ROOT, Device
from splitopt.solvers.cut_and_resources.price_consensus.messages import BITS, Channel
from splitopt.solvers.cut_and_resources.price_consensus.tree import Tree
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Mixture
from splitopt.solvers.options import MOST_AT_ONCE

_FLOATING = 1e-12
"""Far above the rounding error of a value that is computed from exact totals."""


@dataclass(frozen=True)
class PriceConsensus(Solver[CutAndResources]):
    """Prices for three resources, answered through masked sums only; then branching messages.

    A round: the coordinator sends three prices to all devices; each finds its best cut and sends
    its three roots and its seconds, masked so that only their sums can be read. The sums prove the
    bound -|p|^2 / 4 + sum_n min_l (d + p . roots), and are the value of a feasible plan.

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
        worst = float(np.where(allowed, problem.device_s, 0.0).max(axis=1).sum())
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


class Consensus:
    """One run: it sets the parties up, then only the coordinator and the server act.

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
        self.solver = solver
        self.search = search
        self.tolerance = 0.99 * min(max(search.rel_gap, _FLOATING), OPTIMAL_GAP)
        count, code = problem.devices, solver.code
        devices = [
            Device(
                n,
                problem.roots[n],
                problem.device_s[n],
                problem.allowed[n],
                Masks(code, n, ring_keys(search.seed, n, count, solver.neighbours)),
                code,
            )
            for n in range(count)
        ]
        self._server = _Server(count)
        self._tap = tap
        self.channel = Channel(devices, self._overhear)
        self.coordinator = Coordinator(self.channel, count, code)
        self._adopted: Plan | None = None

    def run(self) -> StopReason:
        """Compute prices, then branch; whatever ends the run, the best plan is adopted."""
        try:
            return self._run()
        finally:
            try:
                self._adopt()
            finally:
                self._report()

    def _run(self) -> StopReason:
        search, coordinator = self.search, self.coordinator
        prices = coordinator.start()
        self._adopt()
        if (reason := self._ended()) is not None:
            return reason
        root = coordinator.relax(ROOT, ROOT, prices, np.inf, self._watch)
        search.prove(root.bound)
        search.details["root_bound"] = root.bound
        if self._ended() is None:
            coordinator.round_off(root, self.solver.roundings, lambda: self._ended() is not None)
        self._adopt()
        search.details["root_gap"] = search.gap
        if (reason := self._ended()) is not None:
            return reason
        if not self.solver.branching:
            return "converged"
        return self._branch(root)

    def _branch(self, root: Mixture) -> StopReason:
        tree = Tree(self.coordinator, self._limit, lambda: self._ended() is not None)
        tree.open(ROOT, root)
        while tree.heap:
            self._adopt()
            self.search.prove(tree.bound)
            self.search.details["nodes"] = tree.nodes
            if (reason := self._ended()) is not None:
                return reason
            tree.expand()
        self._adopt()
        self.search.prove(tree.bound)
        self.search.details["nodes"] = tree.nodes
        return "proved" if tree.stuck == np.inf else "converged"

    def _limit(self) -> float:
        """Return what a plan must beat to be worth finding."""
        return self.coordinator.value * (1 - self.tolerance)

    def _watch(self, mixture: Mixture) -> bool:
        self.search.prove(mixture.bound)
        return self._ended() is not None

    def _ended(self) -> StopReason | None:
        self.search.iterations = self.coordinator.turn
        limit = self.solver.max_rounds
        if limit is not None and self.coordinator.turn >= limit:
            return "iterations"
        return self.search.stop()

    def _adopt(self) -> None:
        """Send the coordinator's best plan to the server, if it is a new one."""
        plan = self.coordinator.best
        if plan is None or plan is self._adopted:
            return
        self._adopted = plan
        self.coordinator.adopt(plan)
        self.search.propose(decision_from_shares(self._server.cuts, self._server.shares))

    def _overhear(self, message: Message) -> None:
        if message.kind == "plan":
            self._server.grant(message)
        if self._tap is not None:
            self._tap(message)

    def _report(self) -> None:
        self.search.details |= {
            "rounds": self.coordinator.turn,
            "messages": self.channel.log.messages,
            "message_bytes": self.channel.log.bytes,
            "messages_by_kind": dict(sorted(self.channel.log.counts.items())),
            "coordinator_saw": self.channel.log.seen_by("coordinator"),
            "server_saw": self.channel.log.seen_by("server"),
        }


class _Server:
    """Who grants shares: it learns the cut and the shares of every device in an adopted plan."""

    def __init__(self, devices: int) -> None:
        self.cuts = np.ones(devices, dtype=np.int64)
        self.shares: FloatArray = np.zeros((devices, 3))

    def grant(self, message: Message) -> None:
        """Record what a device needs."""
        self.cuts[message.sender] = message.fields["cut"]
        self.shares[message.sender] = message.fields["shares"]
