"""The integer program over some pairs of sender and receiver, by HiGHS.

Variables: ``send`` for every pair that is left; where quality counts ``source`` for every pair and
missing class; and, to find out what cannot be covered, ``short`` for every missing class of a
device: how many senders it lacks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.backends.endings import safe_bound
from splitopt.solvers.backends.highs import silent_highs
from splitopt.solvers.generator_pairing.fleet import Offers

_SEED_LIMIT = 2**31 - 1
_TOLERANCE = 1e-10
"""The least that HiGHS takes."""
BOUND_TOLERANCE = 5e-10
"""What its bounds may be wrong by then, in units that bring the objective near one."""


@dataclass(frozen=True)
class Answer:
    """What HiGHS found: the bound in the problem's unit, and the values of the variables."""

    bound: float
    values: FloatArray | None
    finished: bool
    infeasible: bool = False


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
        """Add a row; give its number."""
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
        """Add a column; give its number."""
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
        bound = safe_bound(float(info.mip_dual_bound), BOUND_TOLERANCE) * unit
        return Answer(bound, values, status == highspy.HighsModelStatus.kOptimal)


def add_device(
    matrix: Matrix,
    offers: Offers,
    kept: IntArray,
    quality: bool,
    caps: Mapping[int, int],
    short: bool = False,
) -> list[int]:
    """Add the rows and columns of one device to a program.

    Parameters
    ----------
    matrix
        The program.
    offers, kept
        Who can send, and the places of those that are left.
    quality
        Whether their quality counts.
    caps
        Sender -> the row of its cap.
    short
        Whether classes may lack senders, at a cost of 1 each, and sends cost nothing.

    Returns
    -------
    The columns of the sends, in the order of `kept`.
    """
    need = offers.need.astype(np.float64).tolist()
    covered = [matrix.row(n, math.inf) for n in need]
    sourced = [matrix.row(n, n) for n in need] if quality else []
    sends = []
    for k in kept.tolist():
        part = slice(int(offers.starts[k]), int(offers.starts[k + 1]))
        classes, lacks = offers.bits[part].tolist(), offers.lacks[part].tolist()
        rows, values = [covered[c] for c in classes], [1.0] * len(classes)
        if (cap := caps.get(int(offers.senders[k]))) is not None:
            rows.append(cap)
            values.append(1.0)
        if quality:
            links = [matrix.row(-math.inf, 0.0) for _ in classes]
            rows, values = rows + links, values + [-1.0] * len(links)
            for c, lack, link in zip(classes, lacks, links, strict=True):
                matrix.add(lack, [sourced[c], link], [1.0, 1.0])
        cost = 0.0 if short else float(offers.costs[k])
        sends.append(matrix.add(cost, rows, values, whole=True))
    if short:
        for row, n in zip(covered, need, strict=True):
            matrix.add(1.0, [row], [1.0], most=n)
    return sends
