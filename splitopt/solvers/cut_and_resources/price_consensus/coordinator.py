"""The coordinator: it knows totals over all devices, cuts that were revealed, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.secure_sum.fixed_point import FixedPoint
from splitopt.solvers.cut_and_resources.price_consensus.messages import Channel
from splitopt.solvers.cut_and_resources.relaxation.measures import SumMeasure
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Ending, Mixture, minimise

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Plan:
    """A plan as the coordinator knows it: the round in which the devices chose it, and totals.

    ``totals`` (R + 1,) are no smaller than the true ones, so that the sum of latencies is at most
    ``value``.
    """

    turn: int
    totals: FloatArray
    value: float


class Coordinator:
    """Questions the devices through a channel and keeps the best plan.

    Parameters
    ----------
    channel
        The only way to the devices.
    devices
        Number of devices N.
    code
        How the masked numbers are written.
    """

    def __init__(self, channel: Channel, devices: int, code: FixedPoint) -> None:
        self.channel = channel
        self.devices = devices
        self.code = code
        self.turn = 0
        self.best: Plan | None = None
        self._measure = SumMeasure()

    @property
    def value(self) -> float:
        """At least the sum of latencies of the best plan, infinite without one."""
        return np.inf if self.best is None else self.best.value

    def start(self) -> FloatArray:
        """Query all devices for the cut that is best alone; return prices (R + 1,) of the total."""
        totals, _ = self._collect("start", {})
        return np.append(2 * totals[:-1], 1.0)

    def relax(
        self,
        node: int,
        parent: int,
        start: FloatArray,
        target: float,
        watch: Callable[[Mixture], bool],
        columns: tuple[FloatArray, list[int]] | None = None,
    ) -> Mixture:
        """Solve the relaxed problem of a node; its bound holds for all plans of the node.

        Totals are rounded down and prices are not negative, so that what prices prove with
        rounded totals they prove with the true ones.
        """

        def price(prices: FloatArray) -> tuple[FloatArray, int]:
            named = tuple(prices[:-1].tolist())
            return self._collect("quote", {"node": node, "parent": parent, "prices": named})

        ending = Ending(target)
        return minimise(self._measure, price, start, ending=ending, watch=watch, columns=columns)

    def round_off(
        self, mixture: Mixture, times: int, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Request that devices choose among the rounds of a mixture in proportion to its weights.

        Each device takes its cut of one of these rounds, picked by its number, so that the totals
        stay near the mixed ones.
        """
        if len(mixture.weights) < 2:
            return
        rounds, weights = tuple(mixture.choices), tuple(mixture.weights.tolist())
        for attempt in range(times):
            if stopped():
                return
            shift = (attempt * _GOLDEN * _GOLDEN) % 1.0
            self._collect("mix", {"rounds": rounds, "weights": weights, "shift": shift})

    def exclude(self, node: int, parent: int, device: int, cut: int, keep: bool) -> bool:
        """Exclude a cut of a device at a node, or all others; False if none is left to it."""
        fields = {"node": node, "parent": parent, "cut": cut, "keep": keep}
        reply = self.channel.ask(device, "exclude", fields)
        assert reply is not None
        return bool(reply.fields["left"])

    def fix(self, node: int, mixture: Mixture, slack: float) -> None:
        """Request that devices exclude cuts that cost more than the slack at a node's prices."""
        prices = tuple(mixture.price[:-1].tolist())
        self.channel.ask_all("fix", {"node": node, "prices": prices, "slack": slack})

    def reveal(self, rounds: list[int]) -> IntArray:
        """Query which cuts the devices chose in some rounds, shape (rounds, N)."""
        replies = self.channel.ask_all("reveal", {"rounds": tuple(rounds)})
        return np.array([reply.fields["cut"] for reply in replies], dtype=np.int64).T

    def adopt(self, plan: Plan) -> None:
        """Request that devices send the server the cuts and shares of a plan."""
        totals = tuple(plan.totals[:-1].tolist())
        self.channel.ask_all("adopt", {"round": plan.turn, "totals": totals})

    def _collect(self, kind: str, fields: dict[str, object]) -> tuple[FloatArray, int]:
        """Query all devices, add up their masked answers and keep the plan if it is the best.

        Give the totals (R + 1,), rounded down, and the round.
        """
        self.turn += 1
        replies = self.channel.ask_all(kind, {"round": self.turn, **fields})
        masked = [reply.fields["masked"] for reply in replies]
        sums = [self.code.add(column) for column in zip(*masked, strict=True)]
        least = np.array([self.code.decode(value) for value in sums])
        most = np.array([self.code.decode(value + self.devices) for value in sums])
        value = float(self._measure.values(most[None])[0])
        if value < self.value:
            self.best = Plan(self.turn, most, value)
        return least, self.turn
