"""The master program of capped pairings: a choice of senders for every device, by HiGHS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.backends.highs import silent_highs
from splitopt.solvers.backends.integer_program import Answer, Matrix

_TOLERANCE = 1e-9

Column = tuple[int, tuple[int, ...]]
"""The place of a receiver, and its senders."""


@dataclass
class Columns:
    """The choices that are known, each once, with their costs."""

    known: dict[Column, float] = field(default_factory=dict)

    def add(self, place: int, senders: Sequence[int], cost: float) -> bool:
        """Add a choice; report whether it is new."""
        key = (place, tuple(senders))
        if key in self.known:
            return False
        self.known[key] = cost
        return True


class Master:
    """The linear program over the known choices: one for every receiver, caps for the senders.

    Every receiver also has an artificial choice that costs `dear`, so that there is a solution from
    the start. Between solutions HiGHS keeps its basis.

    Parameters
    ----------
    receivers
        How many there are.
    limits
        Shape (D,): the caps.
    dear
        More than any choice costs.
    unit
        The unit of cost.
    """

    def __init__(self, receivers: int, limits: IntArray, dear: float, unit: float) -> None:
        self.receivers, self.unit, self._taken = receivers, unit, 0
        self.highs = silent_highs()
        for option, value in (
            ("parallel", "off"),
            ("presolve", "off"),
            ("simplex_strategy", 4),  # primal: after new columns the old basis stays feasible
            ("primal_feasibility_tolerance", _TOLERANCE),
            ("dual_feasibility_tolerance", _TOLERANCE),
        ):
            self.highs.setOptionValue(option, value)
        ones, rows = np.ones(receivers), receivers + len(limits)
        lower = np.concatenate((ones, np.full(len(limits), -np.inf)))
        upper = np.concatenate((ones, limits.astype(np.float64)))
        none = np.zeros(0, dtype=np.int32)
        self.highs.addRows(rows, lower, upper, 0, np.zeros(rows, dtype=np.int32), none, np.zeros(0))
        every = np.arange(receivers, dtype=np.int32)
        self._add(np.full(receivers, dear / unit), every, every, ones)

    def _add(self, costs: FloatArray, starts: Any, index: Any, value: FloatArray) -> None:
        count = len(costs)
        begins, rows = starts.astype(np.int32), index.astype(np.int32)
        self.highs.addCols(
            count, costs, np.zeros(count), np.full(count, np.inf), len(rows), begins, rows, value
        )

    def extend(self, columns: Columns) -> None:
        """Add the choices that have come since the last call."""
        new = list(columns.known.items())[self._taken :]
        self._taken = len(columns.known)
        if not new:
            return
        rows = [[place, *(self.receivers + j for j in senders)] for (place, senders), _ in new]
        lengths = [len(row) for row in rows]
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        index = np.concatenate([np.array(row, dtype=np.int64) for row in rows])
        costs = np.array([cost for _, cost in new]) / self.unit
        self._add(costs, starts, index, np.ones(len(index)))

    def solve(self, time_limit_s: float) -> tuple[float, FloatArray, bool] | None:
        """Solve it.

        Returns
        -------
        Its value, the price of a send of every sender, and whether artificial choices are left;
        None where HiGHS does not finish.
        """
        import highspy

        if np.isfinite(time_limit_s):
            end = self.highs.getRunTime() + time_limit_s  # its clock goes on from run to run
            self.highs.setOptionValue("time_limit", float(end))
        self.highs.run()
        if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = self.highs.getSolution()
        duals = np.array(solution.row_dual)[self.receivers :] * self.unit
        artificial = bool(np.array(solution.col_value)[: self.receivers].sum() > 1e-6)
        value = float(self.highs.getObjectiveValue()) * self.unit
        return value, np.maximum(0.0, -duals), artificial


def best_of(
    columns: Sequence[tuple[Column, float]],
    receivers: int,
    limits: IntArray,
    unit: float,
    time_limit_s: float,
    seed: int,
    rel_gap: float = 0.0,
) -> Answer:
    """Choose one of some choices for every receiver, within the caps, by HiGHS."""
    matrix = Matrix()
    for _ in range(receivers):
        matrix.row(1.0, 1.0)
    for limit in limits.tolist():
        matrix.row(-np.inf, float(limit))
    for (place, senders), cost in columns:
        rows = [place, *(receivers + j for j in senders)]
        matrix.add(cost, rows, [1.0] * len(rows), whole=True)
    return matrix.solve(unit, time_limit_s, seed, rel_gap)
