"""Branch and bound on how many devices of a class, or of a group of near twins, use a cut."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cut_and_resources.exact.listing import best_of_all
from splitopt.solvers.cut_and_resources.exact.pricing import Limits, cheapest, enforce, tighten
from splitopt.solvers.cut_and_resources.exact.space import Space
from splitopt.solvers.cut_and_resources.relaxation.measures import Measure
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Ending, Mixture, minimise

_WHOLE = 1e-6
"""A mixed count this close to an integer is not branched on."""
_PASSES = 6
"""Passes after which a node that cannot be closed is split, however weak its bound is."""


class Branch(NamedTuple):
    """One limit: at least `low` and at most `high` devices of a row or group use a column."""

    group: bool
    place: int
    column: int
    low: int
    high: int


Half = tuple[Branch, ...]
"""The limits that one half of a split adds."""


@dataclass(order=True)
class Node:
    """An open node: its bound in the measure, a number that breaks ties, and how to split it.

    Without a split, it is small enough to go through all its plans again.
    """

    bound: float
    number: int
    branches: tuple[Branch, ...]
    price: FloatArray
    split: tuple[Half, Half] | None

    __hash__ = None  # type: ignore[assignment]


class Tree:
    """The open nodes of a search over one `Space`.

    Parameters
    ----------
    space
        What is undecided.
    measure
        What is minimised.
    target
        Nodes whose bound reaches it are closed.
    max_listed
        Nodes with at most so many plans left are settled by going through them.
    offer
        Called with the counts (T, W) of every integral column below the target; it tells whether
        that is a better plan.
    halt
        Whether to stop in the middle of a node; its bound is then valid but weak.
    """

    def __init__(
        self,
        space: Space,
        measure: Measure,
        target: float,
        max_listed: int,
        offer: Callable[[IntArray], bool],
        halt: Callable[[], bool],
    ) -> None:
        self.space = space
        self.measure = measure
        self.target = target
        self.max_listed = max_listed
        self.offer = offer
        self.halt = halt
        self.heap: list[Node] = []
        self.latest: IntArray | None = None
        """The counts (T, W) that weigh most in the relaxed solution of the latest node."""
        self.nodes = 0

    @property
    def bound(self) -> float:
        """Smallest bound of an open node; the target when none is left."""
        return min(self.heap[0].bound, self.target) if self.heap else self.target

    def open(self, branches: tuple[Branch, ...], price: FloatArray, bound: float = -np.inf) -> None:
        """Bound a node and keep it if it may hold something better than the target.

        Parameters
        ----------
        branches, price
            The limits of the node, and prices to start from.
        bound
            A bound that is known already, its parent's.
        """
        self.nodes += 1
        limits = self._limits(branches)
        if limits is None:
            return
        listed = best_of_all(self.space, limits, self.measure, self.max_listed)
        if listed is not None:
            # What is best at one deadline need not be the plan that can do with the earliest, so
            # that a node with a better plan is listed again once the target is lowered.
            if listed[1] < self.target and self.offer(listed[0]):
                heapq.heappush(self.heap, Node(bound, self.nodes, branches, price, None))
            return
        found = self._solve(limits, price)
        if found is None or found.bound >= self.target:
            return
        self.latest = found.choices[int(found.weights.argmax())]
        split = self._split(found, limits)
        if split is not None:
            node = Node(max(bound, found.bound), self.nodes, branches, found.price, split)
            heapq.heappush(self.heap, node)

    def expand(self) -> None:
        """Split the node with the smallest bound, or open it again if it was listed."""
        node = heapq.heappop(self.heap)
        if node.bound >= self.target:
            return
        if node.split is None:
            self.open(node.branches, node.price, node.bound)
            return
        for half in node.split:
            self.open((*node.branches, *half), node.price, node.bound)

    def _limits(self, branches: tuple[Branch, ...]) -> Limits | None:
        """Apply the branches to the limits of the space, None if they contradict each other."""
        space = self.space
        limits = Limits(np.zeros_like(space.high), space.high.copy())
        for group, index, column, low, high in branches:
            if group:
                if index not in limits.groups:
                    width = space.shape[1]
                    whole = int(space.count[space.groups[index]].sum())
                    limits.groups[index] = (
                        np.zeros(width, dtype=np.int64),
                        np.full(width, whole, dtype=np.int64),
                    )
                least, most = limits.groups[index]
            else:
                least, most = limits.low[index], limits.high[index]
            least[column] = max(least[column], low)
            most[column] = min(most[column], high)
        return limits if tighten(limits.low, limits.high, space.count) else None

    def _solve(self, limits: Limits, price: FloatArray) -> Mixture | None:
        try:
            return minimise(
                self.measure,
                lambda prices: self._price(prices, limits),
                price,
                ending=Ending(self.target, tolerance=1e-12, limit=40),
                watch=self._enough,
            )
        except _ImpossibleError:
            return None

    def _enough(self, mixture: Mixture) -> bool:
        """Whether to split a node as it is: its relaxed value shows that no price can close it."""
        missing = self.target - mixture.value
        close = mixture.value - mixture.bound < missing / 3
        return self.halt() or (missing > 0 and (close or mixture.passes >= _PASSES))

    def _price(self, prices: FloatArray, limits: Limits) -> tuple[FloatArray, IntArray]:
        """Return the cheapest total within the limits and its counts."""
        space = self.space
        flat = space.vector.reshape(-1, space.vector.shape[2])
        cost = (flat @ prices).reshape(space.shape)
        used = cheapest(cost, limits, space.count)
        for index, (least, most) in limits.groups.items():
            rows = space.groups[index]
            part = used[rows]
            if not enforce(cost[rows], part, limits.low[rows], limits.high[rows], least, most):
                raise _ImpossibleError
            used[rows] = part
        total = space.fixed + used.ravel() @ flat
        value = float(self.measure.values(total[None])[0])
        if value < self.target:
            self.offer(used)
        return total, used

    def _split(self, found: Mixture, limits: Limits) -> tuple[Half, Half] | None:
        """Choose the count to branch on: the most undecided one, weighted by what it moves."""
        space = self.space
        mixed = np.tensordot(found.weights, np.array(found.choices, dtype=np.float64), axes=1)
        reach = np.abs(space.vector @ found.price)
        reach = reach.max(axis=1) - np.where(space.high > 0, reach, np.inf).min(axis=1)
        spread = np.linalg.norm(space.vector.max(axis=1) - space.vector.min(axis=1), axis=1)
        if space.kind is not None and (halves := _by_kind(space, space.kind, mixed)) is not None:
            return halves
        best, choice = 0.0, None
        for index, rows in enumerate(space.groups):
            count = mixed[rows].sum(axis=0)
            away = np.abs(count - np.round(count))
            column = int(away.argmax())
            if away[column] > _WHOLE and away[column] * spread[rows[0]] > best:
                best = float(away[column] * spread[rows[0]])
                choice = (True, index, column, int(np.floor(count[column])))
        alone = np.ones(space.shape[0], dtype=np.bool_)
        for rows in space.groups:
            alone[rows] = False
        away = np.abs(mixed - np.round(mixed))
        for allowed in (alone, ~alone):
            if choice is not None and allowed is not alone:
                break
            score = away * (spread * allowed)[:, None]
            row, column = divmod(int(score.argmax()), space.shape[1])
            if away[row, column] > _WHOLE and score[row, column] > best:
                choice = (False, row, column, int(np.floor(mixed[row, column])))
        if choice is None:
            choice = self._any(limits, spread)
        if choice is None:
            return None
        group, index, column, floor = choice
        big = int(space.count.sum())
        return (
            (Branch(group, index, column, 0, floor),),
            (Branch(group, index, column, floor + 1, big),),
        )

    def _any(self, limits: Limits, spread: FloatArray) -> tuple[bool, int, int, int] | None:
        """Choose a count that is not decided yet though the mixture is integral."""
        undecided = limits.high - limits.low
        score = (undecided > 0) * (1e-300 + spread)[:, None]
        row, column = divmod(int(score.argmax()), self.space.shape[1])
        if undecided[row, column] == 0:
            return None
        middle = int(limits.low[row, column] + undecided[row, column] // 2)
        if middle == limits.high[row, column]:
            middle -= 1
        return False, row, column, middle


def _by_kind(space: Space, kind: IntArray, mixed: FloatArray) -> tuple[Half, Half] | None:
    """Decide whether a device uses the resources of one block, such as a server, at all.

    That moves more than one cut of many. None if every device that stands alone has decided.
    """
    single = np.flatnonzero(space.count == 1)
    own = kind[single]
    parts = np.where(own[:, :, None] == own[:, None, :], mixed[single][:, None, :], 0.0).sum(axis=2)
    parts = np.where(space.high[single] > 0, parts, 0.0)
    size = np.linalg.norm(space.vector[single], axis=2).max(axis=1)
    away = np.minimum(parts, 1.0 - parts)
    score = away * size[:, None]
    if not score.size:
        return None
    place, column = divmod(int(score.argmax()), score.shape[1])
    if away[place, column] <= _WHOLE:
        return None
    row = int(single[place])
    inside = kind[row] == kind[row, column]
    ways = [
        tuple(
            Branch(False, row, int(w), 0, 0) for w in np.flatnonzero(closed & (space.high[row] > 0))
        )
        for closed in (inside, ~inside)
    ]
    return ways[0], ways[1]


class _ImpossibleError(Exception):
    """No counts satisfy a node's limits."""
