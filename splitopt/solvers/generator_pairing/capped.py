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
from splitopt.solvers.generator_pairing.master import Column, Columns, Master, best_of

_STEPS, _TURNS = 60, 200
_CLOSE = 1e-7
"""How near the bound must come to the linear program, relatively."""
_MOST_LISTED = 50_000
"""Choices that are listed at most, of all devices together."""
_FIRST_GAP = 2e-5
"""A relative gap at which the first look among known choices ends."""
_FIRST_REACH = 0.01
"""How far choices are listed at first, in mean costs of a device."""
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
        """Compute what every device chooses under prices.

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
    _propose_best(pricing, known, min(2.0, search.remaining_s / 8), _FIRST_GAP)
    return search.stop() or _finish(pricing)


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
    pricing: Pricing, columns: list[tuple[Column, float]], seconds: float, rel_gap: float = 0.0
) -> tuple[float, bool]:
    """Put choices together within the caps; return the bound among them, and if that is done."""
    search, fleet = pricing.search, pricing.fleet
    unit = pricing.bound if pricing.bound > 0 else 1.0
    answer = best_of(
        columns, len(fleet.receivers), pricing.limits, unit, seconds, search.seed, rel_gap
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
    """List the choices that a better pairing may have, the cheapest first, and choose among them.

    A pairing with a choice that is dearer than its device's best by more than `reach` costs more
    than the bound by as much. What the best pairing among the others costs is a bound too, up to
    there: the proof is done when the reach is as long as the gap.
    """
    search, receivers = pricing.search, len(pricing.fleet.receivers)
    reach = _FIRST_REACH * pricing.bound / receivers
    while True:
        gap = search.objective - pricing.bound
        last = reach >= gap
        found = _listed(pricing, min(reach, gap))
        if found is None:
            return search.stop() or "iterations"
        search.details["listed"] = len(found.known)
        seconds = search.remaining_s if last else search.remaining_s / 3
        exactly = 0.0 if last else _FIRST_GAP
        columns = list(found.known.items())
        bound, finished = _propose_best(pricing, columns, seconds, exactly)
        search.prove(min(bound, pricing.bound + reach, search.objective))
        if reason := search.stop():
            return reason
        if last:
            return "converged" if finished else "time"
        reach *= 4.0


def _listed(pricing: Pricing, reach: float) -> Columns | None:
    """List the choices of every device that are dearer than its best by at most `reach`.

    None where they are too many, or time is up.
    """
    fleet, listed = pricing.fleet, Columns()
    for place, i in enumerate(fleet.receivers.tolist()):
        if pricing.search.stop():
            return None
        costs, missing = fleet.costs(i, pricing.prices), fleet.missing[i]
        limit = fleet.cheapest(i, pricing.prices).value + reach
        limit += 1e-9 * abs(limit)
        room = np.empty((_MOST_LISTED - len(listed.known), len(missing)), dtype=np.int64)
        count = list_covers(costs, fleet.masks, missing, ROUNDS, limit, room)
        if count > len(room):
            return None
        for row in room[:count]:
            senders = np.unique(row[row >= 0])
            cost = math.fsum(fleet.problem.cost[i, senders])
            listed.add(place, senders.tolist(), cost)
    return listed
