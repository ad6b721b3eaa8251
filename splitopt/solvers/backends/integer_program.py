"""Integer programs written by columns and solved by HiGHS, their bounds safe from rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.solvers.backends.endings import safe_bound
from splitopt.solvers.backends.highs import silent_highs

_SEED_LIMIT = 2**31 - 1
_TOLERANCE = 1e-10
"""The least that HiGHS takes."""
BOUND_TOLERANCE = 5e-10
"""What its bounds may be wrong by then, in units that bring the objective near one."""


@dataclass(frozen=True)
class Answer:
    """What HiGHS found: the bound in the problem's unit, and the values of the variables.

    ``prices`` are those of the rows, in the problem's unit, where no variable has to be whole.
    """

    bound: float
    values: FloatArray | None
    finished: bool
    infeasible: bool = False
    prices: FloatArray | None = None


@dataclass
class Matrix:
    """A linear program by columns, while it is being written; all variables are at least 0."""

    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    index: list[list[int]] = field(default_factory=list)
    value: list[list[float]] = field(default_factory=list)

    def row(self, lower: float, upper: float) -> int:
        """Add a row; return its number."""
        self.lower.append(lower)
        self.upper.append(upper)
        return len(self.lower) - 1

    def add(
        self,
        cost: float,
        index: list[int],
        value: list[float],
        whole: bool = False,
        most: float = 1.0,
    ) -> int:
        """Add a column; return its number."""
        self.costs.append(cost)
        self.most.append(most)
        self.whole.append(whole)
        self.index.append(index)
        self.value.append(value)
        return len(self.costs) - 1

    def solve(self, unit: float, time_limit_s: float, seed: int, rel_gap: float = 0.0) -> Answer:
        """Solve it, with costs in a unit that brings the objective near one."""
        import highspy

        highs = silent_highs()
        options: dict[str, object] = {
            "parallel": "off",  # "threads" must be what the first run of the process had
            "random_seed": seed % _SEED_LIMIT,
            "mip_rel_gap": rel_gap,
            "mip_abs_gap": 0.0,
            "mip_feasibility_tolerance": _TOLERANCE,
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
        }
        if math.isfinite(time_limit_s):
            options["time_limit"] = float(time_limit_s)
        for name, option in options.items():
            highs.setOptionValue(name, option)
        rows, count = len(self.lower), len(self.costs)
        empty, starts = np.zeros(0, dtype=np.int32), np.zeros(rows, dtype=np.int32)
        highs.addRows(
            rows, np.array(self.lower), np.array(self.upper), 0, starts, empty, np.zeros(0)
        )
        lengths = [len(part) for part in self.index]
        begins = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int32)
        index = np.array([k for part in self.index for k in part], dtype=np.int32)
        value = np.array([v for part in self.value for v in part])
        costs, most = np.array(self.costs) / unit, np.array(self.most)
        least = np.zeros(count)
        highs.addCols(count, costs, least, most, len(index), begins, index, value)
        kinds = np.where(
            self.whole, int(highspy.HighsVarType.kInteger), int(highspy.HighsVarType.kContinuous)
        )
        every = np.arange(count, dtype=np.int32)
        highs.changeColsIntegrality(count, every, kinds.astype(np.uint8))
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
        if status == highspy.HighsModelStatus.kInfeasible:
            return Answer(math.inf, None, True, infeasible=True)
        values = None
        if info.primal_solution_status == 2:  # feasible
            values = np.array(highs.getSolution().col_value)
        finished = status == highspy.HighsModelStatus.kOptimal
        if any(self.whole):
            return Answer(safe_bound(info.mip_dual_bound, BOUND_TOLERANCE) * unit, values, finished)
        if not finished:
            return Answer(-math.inf, values, False)
        prices = np.array(highs.getSolution().row_dual) * unit
        bound = safe_bound(info.objective_function_value, BOUND_TOLERANCE) * unit
        return Answer(bound, values, True, prices=prices)
