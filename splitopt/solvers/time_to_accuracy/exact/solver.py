"""Branch and bound over the three maxima of a round; separable questions in between are exact."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.time_to_accuracy import TimeToAccuracy, TimeToAccuracyDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.time_to_accuracy.common_plans import common_plans
from splitopt.solvers.time_to_accuracy.exact.cell_loops import explore
from splitopt.solvers.time_to_accuracy.exact.cells import Cell, Thresholds

_ROUNDING = 1e-13
"""By what bounds are lowered, relatively and for each device's term at most: sums are rounded."""


@dataclass(frozen=True)
class Exact(Solver[TimeToAccuracy]):
    """Prove the best plan: cells of thresholds of the three maxima, best first.

    For a largest cut, an interval and limits on the slowest way out, way back and exchange, what is
    left is a product of two sums over devices, whose least value `hull_loops` computes exactly. A
    cell is bounded by its picks at the high corner with the maxima of the low corner; the best cell
    is divided until its bound meets the best plan.

    Parameters
    ----------
    keep_cells
        Whether the details of the result list all cells that were closed, which together hold every
        plan: largest cut, interval, the thresholds at both corners, and the bound.
    """

    name: ClassVar[str] = "exact"
    problem: ClassVar[str] = "time_to_accuracy"
    objectives: ClassVar[frozenset[str]] = frozenset(TimeToAccuracy.objectives)
    kind: ClassVar[Kind] = "exact"

    keep_cells: bool = False

    def load(self, problem: TimeToAccuracy) -> None:
        """Compile the loop on a problem of one device."""
        del problem  # one loop for all
        one = np.ones
        explore(
            one((3, 1, 1)), one(1), one(1), one(1), one((1, 1)), 0, True, 1.0, one(3), one(3),
            np.inf, np.zeros(1, np.int64), np.zeros(1, np.int64), one(2),
        )  # fmt: skip

    def run(self, problem: TimeToAccuracy, search: Search) -> StopReason:
        """Close cells until none can hold a better plan."""
        for plan in common_plans(problem):
            search.propose(plan)
            if search.best is not None and (reason := search.stop()) is not None:
                return reason
        return _Cells(problem, search, self.keep_cells).close()


@dataclass
class _Cells:
    """The open cells of a run, the one of least bound first."""

    problem: TimeToAccuracy
    search: Search
    keep: bool
    heap: list[tuple[float, int, Cell]] = field(default_factory=list)
    closed: list[Cell] = field(default_factory=list)
    least_closed: float = np.inf
    explored: int = 0
    prices: FloatArray = field(default_factory=lambda: np.zeros(2))

    def __post_init__(self) -> None:
        problem = self.problem
        self._numbers = itertools.count()
        self._tables = np.stack([problem.out_s, problem.back_s, problem.exchange_s])
        self._sizes = problem.batch_sizes.astype(np.float64)
        self._most = problem.largest_batch.astype(np.float64)
        self._columns: dict[tuple[int, int], FloatArray] = {}
        self._cuts = np.zeros(problem.devices, dtype=np.int64)
        self._batches = np.zeros(problem.devices, dtype=np.int64)
        # Pairwise sums of n terms are off by a few ulp; sums in a loop by at most n of them.
        self._slack = 1.0 - _ROUNDING - 2.3e-16 * problem.devices

    @cached_property
    def thresholds(self) -> dict[int, Thresholds]:
        """Largest cut -> its thresholds."""
        cuts = np.flatnonzero(self.problem.possible).tolist()
        return {cut: Thresholds(self.problem, cut) for cut in cuts}

    def close(self) -> StopReason:
        """Divide the best cell until all are closed or the search is to stop."""
        for cut, thresholds in self.thresholds.items():
            for k in range(len(self.problem.intervals)):
                self._explore(thresholds.whole(k), thresholds)
                if self.search.best is not None and (reason := self.search.stop()) is not None:
                    return self._end(reason, unseen=True)
            del cut
        while self.heap:
            bound, _, cell = self.heap[0]
            self.search.prove(min(bound, self.least_closed, self.search.objective))
            if self.search.best is not None and (reason := self.search.stop()) is not None:
                return self._end(reason)
            heapq.heappop(self.heap)
            thresholds = self.thresholds[cell.cut]
            interval = float(self.problem.intervals[cell.k])
            if bound >= self.search.objective:
                self._shut(cell)
                continue
            parts = list(thresholds.halves(cell, interval))
            if not parts:
                self._shut(cell)
            for part in parts:
                self._explore(part, thresholds)
        self.search.prove(min(self.least_closed, self.search.objective))
        return self._end("proved")

    def _explore(self, cell: Cell, thresholds: Thresholds) -> None:
        """Bound a cell, propose its plan where it is better, and keep what is open of it."""
        problem, search = self.problem, self.search
        self.explored += 1
        search.iterations += 1
        interval = float(problem.intervals[cell.k])
        bound, value = explore(
            self._tables,
            problem.server_s,
            self._column(cell),
            self._sizes,
            self._most,
            cell.cut,
            problem.cuts == "per_device",
            interval,
            thresholds.corner(cell.first),
            thresholds.corner(cell.last),
            search.objective,
            self._cuts,
            self._batches,
            self.prices,
        )
        if value < search.objective * (1.0 + 1e-12):
            before = search.objective
            chosen = problem.batch_sizes[self._batches]
            interval_steps = int(problem.intervals[cell.k])
            search.propose(TimeToAccuracyDecision(self._cuts + 1, chosen, interval_steps))
            if search.objective < before:
                search.details["prices"] = {
                    "rounds": float(self.prices[0]),
                    "seconds": float(self.prices[1]),
                }
        bound = max(bound * self._slack, cell.bound)
        known = replace(cell, bound=bound)
        if bound >= search.objective:
            self._shut(known)
        else:
            heapq.heappush(self.heap, (bound, next(self._numbers), known))

    def _column(self, cell: Cell) -> FloatArray:
        """Shape (B,): the rounds by batch size at a cell's cut and interval."""
        key = cell.cut, cell.k
        if key not in self._columns:
            table = self.problem.rounds_by_choice
            self._columns[key] = np.ascontiguousarray(table[:, cell.cut, cell.k])
        return self._columns[key]

    def _shut(self, cell: Cell) -> None:
        self.least_closed = min(self.least_closed, cell.bound)
        if self.keep:
            self.closed.append(cell)

    def _end(self, reason: StopReason, unseen: bool = False) -> StopReason:
        """Note what was done, for the result's details."""
        details = self.search.details
        details["cells"] = self.explored
        if self.keep and not unseen:
            every = [*self.closed, *(cell for _, _, cell in self.heap)]
            details["closed"] = [self._row(cell) for cell in every]
        return reason

    def _row(self, cell: Cell) -> dict[str, object]:
        """Return a cell as plain data: cut from 1, thresholds in s."""
        thresholds = self.thresholds[cell.cut]
        return {
            "largest_cut": cell.cut + 1,
            "aggregation_interval": int(self.problem.intervals[cell.k]),
            "low_s": thresholds.corner(cell.first).tolist(),
            "high_s": thresholds.corner(cell.last).tolist(),
            "bound": None if np.isinf(cell.bound) else float(cell.bound),
        }
