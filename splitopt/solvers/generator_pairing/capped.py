"""Pairings with caps: prices for sends, the best choices under them, and a proof among few.

With a price for every send of a capped generator, devices choose on their own, by masks of their
missing classes; what they pay, less the prices of all sends that the caps allow, is a lower bound.
Subgradient steps and then the linear program over the known choices (column generation) find the
prices with the best bound. HiGHS puts known choices together within the caps. Last, every choice
of every device is listed that costs at most the remaining gap more, under these prices, than the
device's best: a better pairing has no other, so that HiGHS' optimum among them is the optimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import plain
from splitopt.problems.generator_pairing import GeneratorPairing, GeneratorPairingDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.generator_pairing.fleet import ROUNDS, Fleet
from splitopt.solvers.generator_pairing.listing_loops import list_covers
from splitopt.solvers.generator_pairing.mask_loops import common_unit
from splitopt.solvers.generator_pairing.master import Columns, Master, best_of

_STEPS, _TURNS = 60, 200
_CLOSE = 1e-7
"""How near the bound must come to the linear program, relatively."""
_MOST_LISTED = 200_000
"""Choices that are listed at most, of all devices together."""
_ROUNDING = 1e-11


@dataclass
class Pricing:
    """The state of a run: known choices, the best prices, and the bound that they prove."""

    fleet: Fleet
    search: Search
    limits: IntArray
    columns: Columns = field(default_factory=Columns)
    prices: FloatArray = field(default_factory=lambda: np.zeros(0))
    bound: float = -math.inf

    def __post_init__(self) -> None:
        self.prices = np.zeros(self.fleet.problem.devices)

    def choose(self, prices: FloatArray) -> tuple[float, FloatArray, int] | None:
        """Let every device choose under prices.

        Returns
        -------
        The bound, the sends of every generator, and how many choices are new; None where time is
        up.
        """
        cost, fleet = self.fleet.problem.cost, self.fleet
        total, sends, new = [], np.zeros(fleet.problem.devices), 0
        for place, i in enumerate(fleet.receivers.tolist()):
            if self.search.remaining_s <= 0 or self.search.asked_to_stop:
                return None
            choice = fleet.cheapest(i, prices)
            total.append(choice.bound)
            sends[choice.senders] += 1
            own = math.fsum(cost[i, choice.senders])
            new += self.columns.add(place, choice.senders.tolist(), own)
        bound = math.fsum(total) - float(prices @ self.limits) - _ROUNDING * math.fsum(total)
        if bound > self.bound:
            self.bound, self.prices = bound, prices
            self.search.prove(self.raised(bound))
        return bound, sends, new


    def raised(self, bound: float) -> float:
        """Raise a bound to the next whole multiple of the unit that all costs have, if any."""
        unit = self.unit
        return max(bound, math.ceil(bound / unit - 1e-9) * unit) if unit else bound

    @cached_property
    def unit(self) -> float:
        """The least cost of a send if all others are whole multiples of it, else 0."""
        problem = self.fleet.problem
        useful = (problem.need > 0).astype(np.int64) @ problem.covers.T.astype(np.int64) > 0
        return float(plain(common_unit)(problem.cost[useful]))


def solve_capped(problem: GeneratorPairing, search: Search) -> StopReason:
    """Search, propose decisions and prove bounds, for plain covers with caps."""
    fleet = Fleet(problem)
    assert problem.limits is not None  # the caller saw to it
    pricing = Pricing(fleet, search, problem.limits)
    _descend(pricing)
    if reason := search.stop():
        return reason
    if not _generate(pricing):
        return search.stop() or "iterations"
    search.details["choices"] = len(pricing.columns.known)
    known = list(pricing.columns.known.items())
    _propose_best(pricing, known, _first_share(search))
    return search.stop() or _finish(pricing)


def _first_share(search: Search) -> float:
    """Seconds for the first look among known choices."""
    return min(5.0, search.remaining_s / 4)


def _descend(pricing: Pricing) -> None:
    """Raise the bound by subgradient steps on the prices of sends."""
    search, limits = pricing.search, pricing.limits
    prices, step, fails = pricing.prices.copy(), 1.0, 0
    for _ in range(_STEPS):
        before = pricing.bound
        found = pricing.choose(prices)
        if found is None or search.stop():
            return
        bound, sends, _ = found
        search.iterations += 1
        fails = 0 if bound > before else fails + 1
        if fails >= 3:
            step, fails = step * 0.6, 0
        slope = sends - limits
        slope[(prices <= 0) & (slope < 0)] = 0.0
        norm = float(slope @ slope)
        goal = search.objective if search.best is not None else 1.3 * pricing.bound
        if norm == 0.0 or goal <= bound:
            return
        prices = np.maximum(0.0, prices + step * (goal - bound) / norm * slope)


def _generate(pricing: Pricing) -> bool:
    """Solve the linear program over all choices by generating them; report whether it was done."""
    search, fleet = pricing.search, pricing.fleet
    dear = 10.0 * _dearest(fleet)
    unit = max(pricing.bound, 1e-12 * dear) / max(1, len(fleet.receivers)) or 1.0
    master = Master(len(fleet.receivers), pricing.limits, dear, unit)
    for turn in range(_TURNS):
        master.extend(pricing.columns)
        solved = master.solve(search.remaining_s)
        if solved is None or search.stop():
            return False
        value, prices, _ = solved
        if value - pricing.bound <= _CLOSE * abs(value):
            return True
        search.iterations += 1
        near = 0.5 * (prices + pricing.prices) if turn % 2 else prices
        found = pricing.choose(near)
        if found is None:
            return False
        if not found[2] and near is prices:
            return True
    return True


def _dearest(fleet: Fleet) -> float:
    """Return more than any choice of one device costs that has no needless sender."""
    cost = fleet.problem.cost
    most = max(len(fleet.missing[i]) for i in fleet.receivers)
    return float(cost.max()) * most + 1e-300


def _propose_best(
    pricing: Pricing, columns: list[tuple[tuple[int, tuple[int, ...]], float]], seconds: float
) -> tuple[float, bool]:
    """Put choices together within the caps; give the bound among them, and whether that is done."""
    search, fleet = pricing.search, pricing.fleet
    unit = pricing.bound if pricing.bound > 0 else 1.0
    answer = best_of(
        columns, len(fleet.receivers), pricing.limits, unit, seconds, search.seed
    )
    if answer.values is not None:
        senders: list[IntArray] = [
            np.empty(0, dtype=np.int64) for _ in range(fleet.problem.devices)
        ]
        for taken in np.flatnonzero(answer.values > 0.5):
            place, row = columns[taken][0]
            senders[int(fleet.receivers[place])] = np.array(row, dtype=np.int64)
        search.propose(GeneratorPairingDecision(tuple(senders)))
    return answer.bound, answer.finished


def _finish(pricing: Pricing) -> StopReason:
    """List the choices that a better pairing may have, and find the best among them."""
    search, fleet = pricing.search, pricing.fleet
    gap = search.objective - pricing.bound
    if not math.isfinite(gap):
        return "converged"
    listed = Columns()
    for place, i in enumerate(fleet.receivers.tolist()):
        if reason := search.stop():
            return reason
        costs = fleet.costs(i, pricing.prices)
        limit = fleet.cheapest(i, pricing.prices).value + gap
        limit += 1e-9 * abs(limit)
        missing = fleet.missing[i]
        own = np.empty((_MOST_LISTED - len(listed.known), len(missing)), dtype=np.int64)
        count = list_covers(costs, fleet.masks, missing, ROUNDS, limit, own)
        if count > len(own):
            search.details["listed"] = f"more than {_MOST_LISTED}"
            return "iterations"
        for row in own[:count]:
            senders = np.unique(row[row >= 0])
            cost = math.fsum(fleet.problem.cost[i, senders])
            listed.add(place, senders.tolist(), cost)
    search.details["listed"] = len(listed.known)
    bound, finished = _propose_best(pricing, list(listed.known.items()), search.remaining_s)
    search.prove(min(bound, search.objective))
    return search.stop() or ("converged" if finished else "time")
