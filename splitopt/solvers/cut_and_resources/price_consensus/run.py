"""One run from the side of the coordinator, wherever the devices are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.results import OPTIMAL_GAP, StopReason
from splitopt.secure_sum.fixed_point import FixedPoint
from splitopt.solvers.cut_and_resources.price_consensus.coordinator import Coordinator, Plan
from splitopt.solvers.cut_and_resources.price_consensus.device import ROOT
from splitopt.solvers.cut_and_resources.price_consensus.messages import Channel
from splitopt.solvers.cut_and_resources.price_consensus.tree import Tree
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Mixture

_FLOATING = 1e-12
"""Far above the rounding error of a value that is computed from exact totals."""


class Choices(Protocol):
    """What a run needs of the options of the solver."""

    @property
    def max_rounds(self) -> int | None:
        """How many rounds it may have."""
        ...

    @property
    def roundings(self) -> int:
        """How many rounded plans to try."""
        ...

    @property
    def branching(self) -> bool:
        """Whether to go on until the optimum is proved."""
        ...

    @property
    def code(self) -> FixedPoint:
        """How masked numbers are written."""
        ...


class Ledger(Protocol):
    """Where a run reports to, and asks whether to stop: a `Search`, or what stands for it."""

    rel_gap: float
    iterations: int
    details: dict[str, Any]

    @property
    def gap(self) -> float:
        """The relative gap so far."""
        ...

    def stop(self) -> StopReason | None:
        """Return why to stop, None to go on."""
        ...

    def prove(self, bound: float) -> object:
        """Report a valid bound."""
        ...


class CoordinatorRun(ABC):
    """Prices, rounding and branching, all by messages.

    Parameters
    ----------
    solver
        The options.
    ledger
        Where to report to.
    channel
        The only way to the devices.
    devices
        How many there are.
    prices
        Shape (R,): prices to begin with, those of a similar problem; None for none.
    """

    def __init__(
        self,
        solver: Choices,
        ledger: Ledger,
        channel: Channel,
        devices: int,
        prices: FloatArray | None = None,
    ) -> None:
        self.solver, self.ledger, self.channel = solver, ledger, channel
        self.tolerance = 0.99 * min(max(ledger.rel_gap, _FLOATING), OPTIMAL_GAP)
        self.coordinator = Coordinator(channel, devices, solver.code)
        self._prices = prices
        self._adopted: Plan | None = None

    @abstractmethod
    def accept(self, plan: Plan) -> None:
        """Accept a plan that the devices have just sent to the server."""

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
        ledger, coordinator = self.ledger, self.coordinator
        prices = coordinator.start()
        self._adopt()
        if (reason := self._ended()) is not None:
            return reason
        if self._prices is not None:
            prices = np.append(self._prices, 1.0)
        root = coordinator.relax(ROOT, ROOT, prices, np.inf, self._watch)
        ledger.prove(root.bound)
        ledger.details["root_bound"] = root.bound
        ledger.details["prices"] = root.price[:-1].tolist()
        if self._ended() is None:
            coordinator.round_off(root, self.solver.roundings, lambda: self._ended() is not None)
        self._adopt()
        ledger.details["root_gap"] = ledger.gap
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
            self.ledger.prove(tree.bound)
            self.ledger.details["nodes"] = tree.nodes
            if (reason := self._ended()) is not None:
                return reason
            tree.expand()
        self._adopt()
        self.ledger.prove(tree.bound)
        self.ledger.details["nodes"] = tree.nodes
        return "proved" if tree.stuck == np.inf else "converged"

    def _limit(self) -> float:
        """Return what a plan must beat to be worth finding."""
        return self.coordinator.value * (1 - self.tolerance)

    def _watch(self, mixture: Mixture) -> bool:
        self.ledger.prove(mixture.bound)
        return self._ended() is not None

    def _ended(self) -> StopReason | None:
        self.ledger.iterations = self.coordinator.turn
        limit = self.solver.max_rounds
        if limit is not None and self.coordinator.turn >= limit:
            return "iterations"
        return self.ledger.stop()

    def _adopt(self) -> None:
        """Request that devices send the best plan to the server, if it is a new one."""
        plan = self.coordinator.best
        if plan is None or plan is self._adopted:
            return
        self._adopted = plan
        self.coordinator.adopt(plan)
        self.accept(plan)

    def _report(self) -> None:
        self.ledger.details |= {
            "rounds": self.coordinator.turn,
            "messages": self.channel.log.messages,
            "message_bytes": self.channel.log.bytes,
            "messages_by_kind": dict(sorted(self.channel.log.counts.items())),
            "coordinator_saw": self.channel.log.seen_by("coordinator"),
            "server_saw": self.channel.log.seen_by("server"),
        }
