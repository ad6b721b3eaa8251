"""Makespans of devices that each load one resource: number partitioning, at one deadline or more.

The relaxation is tight there up to a few devices, and its prices tie, so that a tree has nothing to
go by. At a deadline T a search that fills resource by resource finds a plan or proves that there is
none, see `partition_search`; the deadline rises from the bound until there is one and is then
bisected. With more devices than that search can take, a few dozen at a time are moved so that one
resource after the other is filled to the last part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.solvers.base import Search
from splitopt.solvers.cut_and_resources.exact.partition_search import (
    FEW,
    MOST_FREE,
    Filling,
    TooLongError,
    load_loops,
)
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet

_MOST_DEVICES = 400
_MOST_RESOURCES = 16
_RISE = 4.0
"""How much further from the bound the next deadline is where nothing was found."""
_MOST_LOOKS = 2e8
"""Pairs of subsets of one complete search: about a second."""
_TRIES = 6
_SAMPLE = 36
"""Devices that are moved at once where there are too many."""
_LATER = 64
"""Fillings of which the one that leaves most to the others is taken."""
_ROUNDING = 1e-12
_FINEST = 6
"""Decimals of work that counts as whole numbers of a step."""

Answer = Literal["found", "none", "unknown"]


@dataclass(frozen=True, eq=False)
class OneResource:
    """Devices whose choices load one resource each.

    Parameters
    ----------
    work, own
        Shape (N, L): seconds of the resource at the whole of it, and seconds of its own; infinite
        where a choice is not allowed.
    resource
        Shape (N, L): which resource a choice loads, -1 for none.
    worth
        Shape (R,): prices that add up to 1.
    """

    work: FloatArray
    own: FloatArray
    resource: IntArray
    worth: FloatArray

    @classmethod
    def of(cls, fleet: Fleet, price: FloatArray) -> OneResource | None:
        """Return the devices of a fleet one by one; None if a choice loads several resources."""
        small = int(fleet.count.sum()) <= _MOST_DEVICES and fleet.resources <= _MOST_RESOURCES
        loaded = fleet.roots > 0
        if not small or fleet.use is not None or (loaded.sum(axis=2) > 1).any():
            return None
        slot = loaded.argmax(axis=2)
        index = fleet.layout.index
        resource = slot if index is None else index[np.arange(slot.shape[1])[None], slot]
        resource = np.where(loaded.any(axis=2), resource, -1)
        worth = np.maximum(price[: fleet.resources], 0.0)
        if len(price) < fleet.resources or not worth.sum() > 0:
            return None
        row = np.repeat(np.arange(fleet.classes), fleet.count)
        work = (fleet.roots**2).max(axis=2)
        return cls(work[row], fleet.device_s[row], resource[row], worth / worth.sum())

    @property
    def resources(self) -> int:
        """Number of resources R."""
        return len(self.worth)

    def fill(
        self,
        fleet: Fleet,
        search: Search,
        offer: Callable[[IntArray], object],
        halt: Callable[[], bool],
        tolerance: float,
    ) -> int:
        """Search for deadlines that can be met; return how many were asked for.

        Parameters
        ----------
        fleet
            Whose devices these are.
        search
            The run, which has a plan; it is told of every deadline that no plan meets.
        offer
            Called with counts (C, L) of the fleet.
        halt, tolerance
            When to stop, and the relative gap to end at.
        """
        member = np.repeat(np.arange(fleet.classes), fleet.count)

        def propose(choices: IntArray) -> None:
            counts = np.zeros(fleet.device_s.shape, dtype=np.int64)
            np.add.at(counts, (member, choices), 1)
            offer(counts)

        def present() -> IntArray:
            counts = fleet.counts(search.best)
            return np.repeat(np.tile(np.arange(counts.shape[1]), len(counts)), counts.ravel())

        found = Partitioning(
            self, propose, lambda: search.objective, present, search.prove, halt, tolerance
        )
        found.run(search.bound)
        return found.asked

    def step(self) -> float | None:
        """Return what every makespan is a whole multiple of, None if that is not known."""
        allowed = np.isfinite(self.own)
        if (self.own[allowed] > 0).any():
            return None
        work = self.work[allowed]
        for digits in range(_FINEST + 1):
            scaled = work * 10.0**digits
            if (np.abs(scaled - np.rint(scaled)) <= 1e-12 * scaled).all():
                return float(10.0**-digits)
        return None

    def parts(self, deadline: float) -> tuple[FloatArray, IntArray]:
        """Return the least part of each resource that a device takes, and the choice: (N, R + 1).

        The last column is that of choices that load nothing, whose part is 0. Infinite where there
        is no choice in time.
        """
        shape = (len(self.work), self.resources + 1)
        best, choice = np.full(shape, np.inf), np.zeros(shape, dtype=np.int64)
        left = deadline - self.own
        for column in range(self.work.shape[1]):
            place = self.resource[:, column]
            idle, room = place < 0, left[:, column]
            with np.errstate(divide="ignore", invalid="ignore"):
                part = np.where(idle, 0.0, self.work[:, column] / room)
            fits = np.where(idle, room >= 0, room > 0) & np.isfinite(self.own[:, column])
            rows, at = np.arange(len(part)), np.where(idle, self.resources, place)
            better = fits & (part < best[rows, at])
            best[rows[better], at[better]] = part[better]
            choice[rows[better], at[better]] = column
        return best, choice


def load_for(problem: CutAndResources) -> None:
    """Compile the loops where a run on this problem fills resource by resource."""
    few = FEW < problem.devices <= _MOST_DEVICES and not problem.robust
    if problem.objective != "makespan" or not few or problem.budgets is not None:
        return
    seconds, usable, _ = problem.device_classes()
    if not ((seconds[:-1] > 0).sum(axis=0) > 1)[usable].any():
        load_loops()


@dataclass
class Partitioning:
    """The search for deadlines that can be met.

    Parameters
    ----------
    devices
        The devices.
    offer
        Called with choices (N,) from 0; it evaluates and keeps them if they are the best.
    reached
        Returns the best makespan so far.
    present
        Returns its choices (N,).
    prove
        Called with every deadline that no plan meets.
    halt
        Whether to stop.
    tolerance
        Relative gap to end at.
    """

    devices: OneResource
    offer: Callable[[IntArray], None]
    reached: Callable[[], float]
    present: Callable[[], IntArray]
    prove: Callable[[float], None]
    halt: Callable[[], bool]
    tolerance: float
    asked: int = 0

    def run(self, bound: float) -> None:
        """Raise the deadline from a bound in s until it can be met, then bisect."""
        low = bound
        if (step := self.devices.step()) is not None:
            low = max(low, np.ceil(low / step * (1 - _ROUNDING)) * step * (1 - _ROUNDING))
            self.prove(low)
        slack = self.tolerance * low
        while low < self._goal() and not self.halt():
            deadline = min(low + slack, self._goal())
            self.asked += 1
            try:
                answer = self._ask(deadline)
            except TooLongError:
                answer = "unknown"
            if answer == "found":
                slack = max((self.reached() - low) / 2, self.tolerance * low)
                continue
            if answer == "none":
                low = max(low, deadline * (1 - _ROUNDING))
                self.prove(low)
            elif deadline >= self._goal():
                return
            slack *= _RISE

    def _goal(self) -> float:
        """Return what a plan must reach to be worth finding."""
        return self.reached() * (1 - self.tolerance)

    def _ask(self, deadline: float) -> Answer:
        """Look for a plan that meets a deadline."""
        part, choice = self.devices.parts(deadline)
        idle = np.isfinite(part[:, -1])
        busy = np.flatnonzero(~idle)
        table = self._without_dear(part[busy, :-1])
        if table is None:
            return "none"
        if (np.isfinite(table).sum(axis=1) > 1).sum() <= MOST_FREE:
            filling, whole = Filling(self.halt, _MOST_LOOKS), np.ones(self.devices.resources)
            order = _fewest_first(table)
            for found in filling.assignments(table[:, order], self.devices.worth[order], whole):
                if self._take(order[found], busy, choice, deadline):
                    return "found"
            return "none"
        return self._move(table, busy, choice, deadline)

    def _without_dear(self, part: FloatArray) -> FloatArray | None:
        """Return the parts (N, R) without those that cost more than the prices leave room for."""
        finite = np.isfinite(part)
        cost = np.where(finite, self.devices.worth * np.where(finite, part, 0.0), np.inf)
        least = cost.min(axis=1, initial=np.inf)
        spare = float(self.devices.worth.sum() - least.sum()) + _ROUNDING
        if not spare >= 0:  # a device has no choice in time, or all together are too much
            return None
        return np.where(finite & (cost - least[:, None] <= spare), part, np.inf)

    def _take(self, found: IntArray, busy: IntArray, choice: IntArray, deadline: float) -> bool:
        """Offer an assignment of the busy devices; tell whether it meets the deadline."""
        at = np.full(len(choice), choice.shape[1] - 1)
        at[busy] = found
        self.offer(choice[np.arange(len(choice)), at])
        return self.reached() <= deadline * (1 + 10 * _ROUNDING)

    def _move(self, part: FloatArray, busy: IntArray, choice: IntArray, deadline: float) -> Answer:
        """Fill resource by resource, each time by moving some dozens of devices."""
        rng, rows = np.random.default_rng(self.asked), np.arange(len(part))
        resource = self.devices.resource[np.arange(len(self.devices.work)), self.present()][busy]
        resource = np.where(resource >= 0, resource, 0)
        resource = np.where(np.isfinite(part[rows, resource]), resource, part.argmin(axis=1))
        for _ in range(_TRIES):
            order = rng.permutation(self.devices.resources)
            found = self._filled(part[:, order], order, order.argsort()[resource], rng)
            if self.halt():
                raise TooLongError
            if found is not None and self._take(order[found], busy, choice, deadline):
                return "found"
        return "unknown"

    def _filled(
        self, part: FloatArray, order: IntArray, at: IntArray, rng: np.random.Generator
    ) -> IntArray | None:
        """Return an assignment (N,) that loads no resource with more than 1, None if none is seen.

        `part` (N, R) and `at` (N,) are in the `order` in which resources are filled.
        """
        at, worth, resources = at.copy(), self.devices.worth[order], len(order)
        for first in range(resources - 1):
            later = np.flatnonzero(at >= first)
            here = rng.permutation(later[at[later] == first])[: _SAMPLE // 2 + _SAMPLE % 2]
            others = rng.permutation(later[at[later] > first])[: _SAMPLE - len(here)]
            chosen = self._fill_one(part[:, first:], worth[first:], at - first, here, others)
            if chosen is None:
                return None
            moved = np.setdiff1d(here, chosen)
            at[chosen] = first
            for n in moved.tolist():  # to where it is cheapest, the emptiest of equals
                loads = np.array([part[at == r, r].sum() for r in range(first + 1, resources)])
                price = worth[first + 1 :] * part[n, first + 1 :]
                at[n] = first + 1 + int(np.lexsort((loads, price))[0])
        return at if part[at == resources - 1, -1].sum() <= 1 + _ROUNDING else None

    def _fill_one(
        self,
        part: FloatArray,
        worth: FloatArray,
        at: IntArray,
        here: IntArray,
        others: IntArray,
    ) -> IntArray | None:
        """Return those of some devices that fill the first resource best, None if nothing fits."""
        sample = np.concatenate((here, others))
        kept_here = np.setdiff1d(np.flatnonzero(at == 0), here)
        kept_later = np.setdiff1d(np.flatnonzero(at > 0), others)
        finite = np.isfinite(part[:, 1:])
        priced = np.where(finite, worth[1:] * np.where(finite, part[:, 1:], 0.0), np.inf)
        other = priced.min(axis=1)
        room = 1 - part[kept_here, 0].sum()
        rest = float(worth[1:].sum()) - float(other[kept_later].sum())
        if not (room >= 0 and rest >= 0):
            return None
        # two resources: the first, and one that stands for all later ones
        table = np.column_stack((part[sample, 0], other[sample]))
        filling = Filling(self.halt, _MOST_LOOKS)
        try:
            found = list(
                islice(filling.assignments(table, np.ones(2), np.array([room, rest])), _LATER)
            )
        except TooLongError:
            return None
        if not found:
            return None
        left = [float(table[one == 1, 1].sum()) for one in found]
        best: BoolArray = found[int(np.argmin(left))] == 0
        return np.asarray(sample[best])


def _fewest_first(part: FloatArray) -> IntArray:
    """Return the resources in the order of how few devices fill them: few subsets match then."""
    finite = np.isfinite(part)
    mean = np.where(finite, part, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    return np.argsort(-mean, kind="stable")
