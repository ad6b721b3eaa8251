"""The least worst-case sum with at most G slow devices: branch and bound on theta, then on cuts.

The worst case of cuts and shares is min over theta >= 0 of G theta + sum_n max(L_n, L_n + M_n -
theta) (`worst_sum`). For every theta and any table z_nl in [0, 1] the maximum is at least
L_n + z (M_n - theta), a nominal latency with other seconds: links times 1 + e z, own seconds
d + z (m - theta). So

    G theta + min over plans of the nominal sum with those seconds                      (1)

bounds the worst case of every plan for this theta. With z fixed it is concave in theta, a minimum
of linear functions, and so on an interval it is least at an end: two nominal problems bound all
plans whose theta lies in a cell. z is the maximiser at the middle of the cell, at the prices of a
good plan. Where links are never slow z is 0 or 1 between two neighbouring increments, whatever the
prices, and (1) is attained: the cells close exactly (Bertsimas and Sim 2003, "Robust discrete
optimization and network flows", Theorem 3, by bisection instead of enumeration). Where links are
slow the prices at a plan differ a little from those of the table, and cells that are thin enough
are divided by a device's cuts, down to a single plan, whose worst case is known.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources.robust import StretchedTables
from splitopt.problems.cut_and_resources.worst_slowdown import slowed_at, worst_slowdown
from splitopt.results import OPTIMAL_GAP, StopReason
from splitopt.solvers.cut_and_resources.exact.nominal_questions import (
    Answer,
    Nominal,
    slowed_tables,
)

_LISTED = 500
"""A cell with at most so many plans is settled by going through them."""
_THIN = 0.25
"""A cell is divided by cuts where its width could cost less than this part of what is missing."""


@dataclass(order=True)
class _Cell:
    """Plans of these options with theta in an interval; no worst case is below `bound`."""

    bound: float
    number: int
    low: float = field(compare=False)
    high: float = field(compare=False)
    options: BoolArray = field(compare=False)
    price: FloatArray = field(compare=False)


def solve_sum(nominal: Nominal, tables: StretchedTables) -> StopReason:
    """Prove the optimum, or stop when asked to; the bound is valid at any time."""
    return _Tree(nominal, tables).run()


class _Tree:
    """The state of one search."""

    def __init__(self, nominal: Nominal, tables: StretchedTables) -> None:
        self.nominal, self.tables, self.search = nominal, tables, nominal.search
        self.problem = nominal.problem
        self.slow, self.waited = self.problem.slowness.devices, self.problem.waited
        self.tolerance = 0.9 * min(max(self.search.rel_gap, 1e-12), OPTIMAL_GAP)
        self.closed, self.numbers = math.inf, itertools.count()
        self.heap: list[_Cell] = []
        self.links_stretch = bool(
            (tables.stretch[:, None, None] * tables.work[:, :, tables.linked]).any()
        )

    @property
    def target(self) -> float:
        """What a worst case must be below to be worth finding."""
        return self.search.objective * (1 - self.tolerance)

    def run(self) -> StopReason:
        """Work through the cells, that of the least bound first."""
        search, problem = self.search, self.problem
        options = self.nominal.options()
        least = -math.inf
        for part in (0.0, 1.0):
            question = *slowed_tables(problem, np.full(problem.devices, part)), options, self.waited
            answer = self.nominal.solve(*question)
            if part == 0:
                least = answer.bound
                search.prove(least)
            self.nominal.offer(answer)
            if (reason := search.stop()) is not None:
                return reason
        if search.best is None:
            return "proved" if math.isinf(search.bound) else "converged"
        # beyond this theta, G theta and the nominal optimum alone are no better than the plan
        high = max(0.0, (search.objective - least) / self.slow) * (1 + 1e-9)
        if not self.links_stretch:
            high = min(high, float(self.tables.more.max()))
        price = self._price(np.asarray(search.best.cut), self._served())  # type: ignore[attr-defined]
        self._push(least, 0.0, high, options, price)
        cells = 0
        while self.heap:
            search.prove(min(self.heap[0].bound, self.closed))
            if (reason := search.stop()) is not None:
                return reason
            cell = heapq.heappop(self.heap)
            cells += 1
            search.details["cells"] = cells
            if cell.bound >= self.target:
                self.closed = min(self.closed, cell.bound)
                continue
            self._divide(cell)
        search.prove(min(self.closed, search.objective))
        return "proved"

    def _push(
        self, bound: float, low: float, high: float, options: BoolArray, price: FloatArray
    ) -> None:
        cell = _Cell(bound, next(self.numbers), low, high, options, price)
        heapq.heappush(self.heap, cell)

    def _served(self) -> BoolArray:
        best = self.search.best
        assert best is not None
        return self.problem.worst_case(best).counted  # type: ignore[arg-type]

    def _price(self, cuts: IntArray, served: BoolArray) -> FloatArray:
        """Return the prices 2 A (R,) of the roots' totals at the saddle point of a plan."""
        rows = self.tables.rows(cuts, served)
        found = worst_slowdown(rows, self.slow)
        return np.asarray(2 * rows.slowed(found.slowed).roots.sum(axis=0))

    def _weight(self, price: FloatArray) -> FloatArray:
        """Shape (N, L): what the links cost at prices, priced roots of linked resources."""
        linked = self.tables.linked
        return np.asarray(np.sqrt(self.tables.work[:, :, linked]) @ price[linked])

    def _divide(self, cell: _Cell) -> None:
        """Bound a cell by its ends, and divide it if it is still worth it."""
        tables, stretch = self.tables, self.tables.stretch[:, None]
        counts = cell.options.sum(axis=1)
        if np.log(counts).sum() <= np.log(_LISTED):
            choices = (np.flatnonzero(row) + 1 for row in cell.options)
            for choice in itertools.product(*choices):
                self._close(np.array(choice))
            return
        weight = self._weight(cell.price)
        part = slowed_at(weight, tables.more, stretch, 0.5 * (cell.low + cell.high))
        factor = 1 + (stretch * part)[:, :, None] * tables.linked
        work = tables.work * factor
        bound, worse = math.inf, Answer(math.inf)
        for theta in (cell.low, cell.high):
            answer = self._end(theta, work, tables.own + part * (tables.more - theta), cell)
            if answer.bound < bound:
                bound, worse = answer.bound, answer
        bound = max(bound, cell.bound)
        if bound >= self.target:
            self.closed = min(self.closed, bound)
            return
        if self.search.stop() is not None or worse.cuts is None:
            self._push(bound, cell.low, cell.high, cell.options, cell.price)
            return
        served = np.ones(len(worse.cuts), dtype=np.bool_) if worse.served is None else worse.served
        at = np.arange(len(worse.cuts)), worse.cuts - 1
        table = part[at] * served
        inside = self._inside(cell, weight)
        lost = 0.5 * abs(self.slow - float(table.sum())) * (cell.high - cell.low)
        if inside.size or lost >= _THIN * (self.target - bound):
            middle = 0.5 * (cell.low + cell.high)
            if inside.size:
                middle = float(inside[inside.size // 2])
            if cell.low < middle < cell.high:
                self._push(bound, cell.low, middle, cell.options, cell.price)
                self._push(bound, middle, cell.high, cell.options, cell.price)
                return
        self._branch(cell, bound, worse, served, table)

    def _close(self, choice: IntArray) -> None:
        """Settle a single plan, given by the choice (N,) of every device, 1..L + 1."""
        served = choice <= self.problem.layers
        if served.sum() != self.waited:  # too few, or more than a best plan serves
            return
        cuts = np.where(served, choice, self.problem.allowed.argmax(axis=1) + 1)
        found = worst_slowdown(self.tables.rows(cuts, served), self.slow, self.target)
        if found.bound < self.target:
            self.nominal.offer(Answer(found.bound, cuts, served))
        self.closed = min(self.closed, found.bound)

    def _end(self, theta: float, work: FloatArray, own: FloatArray, cell: _Cell) -> Answer:
        """Bound (1) at one theta, by the optimum or as far as it takes to close the cell."""
        fixed = self.slow * theta
        answer = self.nominal.solve(work, own, cell.options, self.waited, self.target - fixed)
        self.nominal.offer(answer)
        return answer._replace(bound=fixed + answer.bound)

    def _inside(self, cell: _Cell, weight: FloatArray) -> FloatArray:
        """Return the thetas inside a cell at which an allowed cut of a device begins to be slow."""
        tables = self.tables
        pull = 0.5 * weight * tables.stretch[:, None]
        begins = [tables.more + pull]
        if self.links_stretch:
            begins.append(tables.more + pull / np.sqrt(1 + tables.stretch[:, None]))
        free = cell.options[:, :-1]
        every = np.unique(np.concatenate([begin[free] for begin in begins]))
        margin = 1e-9 * cell.high
        inside: FloatArray = every[(every > cell.low + margin) & (every < cell.high - margin)]
        # where links are slow nothing is straight between two of them, and the last may stay
        return inside if not self.links_stretch or inside.size > 1 else inside[:0]

    def _branch(
        self, cell: _Cell, bound: float, worse: Answer, served: BoolArray, table: FloatArray
    ) -> None:
        """Divide by one device: the cut that it has now, and all others."""
        assert worse.cuts is not None
        rows = self.tables.rows(worse.cuts, served)
        found = worst_slowdown(rows, self.slow)
        price = np.asarray(2 * rows.slowed(found.slowed).roots.sum(axis=0))
        choices = cell.options.sum(axis=1)
        chosen = np.where(served, worse.cuts - 1, self.problem.layers)
        apart = np.abs(found.slowed - table) * (rows.more + rows.stretch) + 1e-9 * choices
        device = int(np.where(choices > 1, apart, -1.0).argmax())
        for keep in (True, False):
            options = cell.options.copy()
            if keep:
                options[device] = False
            options[device, chosen[device]] = keep
            self._push(bound, cell.low, cell.high, options, price)
