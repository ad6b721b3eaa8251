"""The numbers of a fleet as the loops take them, which change row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import plain
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.shares import (
    Allocation,
    allocate_for_makespan,
    allocate_for_sum,
)
from splitopt.solvers.cut_and_resources.warm import loops

SMALL = 400
"""Devices times cuts up to which Python is faster than loading machine code."""
_EPS = float(np.finfo(np.float64).eps)


@dataclass
class WarmTables:
    """A fleet of N devices with L cuts and R shared resources, of plain seconds.

    Parameters
    ----------
    objective
        ``"sum"`` or ``"makespan"``.
    roots
        Shape (N, L, R): square roots of the seconds of each resource.
    own
        Shape (N, L): seconds that no share divides, infinite where a cut is not allowed.
    here
        Shape (N,): 1 for a device that takes part, 0 for one that does not.
    """

    objective: str
    roots: FloatArray
    own: FloatArray
    here: IntArray

    @classmethod
    def of(cls, problem: CutAndResources) -> WarmTables:
        """Return the numbers of a plain problem, copied."""
        roots, own = rows_of(problem)
        return cls(problem.objective, roots, own, np.ones(problem.devices, dtype=np.int64))

    def with_own(self, own: FloatArray) -> WarmTables:
        """Return the same fleet with other own seconds (N, L)."""
        return WarmTables(self.objective, self.roots, own, self.here)

    @property
    def shared(self) -> int:
        """Number of resources R."""
        return int(self.roots.shape[2])

    @cached_property
    def is_small(self) -> bool:
        """Whether Python runs the loops."""
        return self.own.size <= SMALL

    def run(self, loop: Callable[..., Any], *arguments: Any) -> Any:
        """Run one of the `loops` on these devices."""
        call = plain(loop) if self.is_small else loop
        return call(self.roots, self.own, self.here, *arguments)

    @property
    def rounding(self) -> float:
        """Relative error allowed for a sum over all devices whose terms are not negative."""
        return (len(self.own) + 64) * _EPS

    def total(self, cuts: IntArray) -> FloatArray:
        """Return the sums (R + 1,) of roots and own seconds of 0-based cuts (N,)."""
        total = np.empty(self.shared + 1)
        self.run(loops.total_of, cuts, total)
        return total

    def alpha(self, cuts: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return roots (M, R) and own seconds (M,) of those who take part, at cuts (N,)."""
        rows = np.flatnonzero(self.here)
        return self.roots[rows, cuts[rows]], self.own[rows, cuts[rows]]

    def allocation(self, cuts: IntArray) -> Allocation:
        """Return the best shares of those who take part, in order."""
        alpha, own = self.alpha(cuts)
        if self.objective == "sum":
            return allocate_for_sum(alpha)
        return allocate_for_makespan(alpha, own)

    def value(self, cuts: IntArray) -> float:
        """Return the objective of cuts (N,) under their best shares; infinite if not allowed."""
        if self.objective == "sum":
            total = self.total(cuts)
            return float(total[:-1] @ total[:-1] + total[-1])
        alpha, own = self.alpha(cuts)
        if not np.isfinite(own).all():
            return float("inf")
        share = allocate_for_makespan(alpha, own).shares
        seconds = np.divide(alpha**2, share, out=np.zeros_like(alpha), where=share > 0)
        starved = (alpha > 0) & (share <= 0)
        return float("inf") if starved.any() else float((seconds.sum(axis=1) + own).max())

    def repaired(self, cuts: IntArray) -> IntArray:
        """Return cuts (N,) in which who has none that is allowed gets what is fastest alone.

        A cut of -1 stands for none.
        """
        found = cuts.copy()
        rows = np.arange(len(found))
        lost = (found < 0) | (found >= self.own.shape[1])
        lost |= ~np.isfinite(self.own[rows, np.where(lost, 0, found)])
        if lost.any():
            alone = (self.roots[lost] ** 2).sum(axis=2) + self.own[lost]
            found[lost] = alone.argmin(axis=1)
        return found


def rows_of(problem: CutAndResources) -> tuple[FloatArray, FloatArray]:
    """Return roots (N, L, R) and own seconds (N, L) of a plain problem, which may be written."""
    own = np.where(problem.allowed, problem.own_s, np.inf)
    return np.array(problem.roots, dtype=np.float64, order="C"), own
