"""The clusters that are known, each once, and the restricted master over them, by HiGHS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.backends.highs import silent_highs
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer

_TOLERANCE = 1e-9
"""HiGHS' tolerances, in units of a typical cluster's seconds."""


@dataclass(frozen=True)
class Duals:
    """Prices of a restricted master in s.

    Parameters
    ----------
    device
        Shape (N,): the price of each device.
    size
        Size -> the price of one more cluster of this size; 0 where all clusters are of one size,
        as their number then follows from the devices'.
    """

    device: FloatArray
    size: dict[int, float]

    def mixed(self, other: Duals, share: float) -> Duals:
        """Return these prices with a `share` of the other ones."""
        device = (1 - share) * self.device + share * other.device
        size = {key: (1 - share) * own + share * other.size[key] for key, own in self.size.items()}
        return Duals(device, size)


class Columns:
    """Clusters with their seconds (without the server's part), in the order in which they came."""

    def __init__(self, pricer: Pricer) -> None:
        self.pricer = pricer
        self.clusters: list[IntArray] = []
        self.seconds: list[float] = []
        self._place: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.clusters)

    def add(self, clusters: Sequence[IntArray] | IntArray) -> list[int]:
        """Add clusters (members ascending); return the places of those that are new."""
        new: list[IntArray] = []
        begin = len(self.clusters)
        for cluster in clusters:
            members = np.ascontiguousarray(cluster, dtype=np.int64)
            key = members.tobytes()
            if key not in self._place:
                self._place[key] = begin + len(new)
                new.append(members)
        for size in {len(members) for members in new}:
            where = [i for i, members in enumerate(new) if len(members) == size]
            table = np.array([new[i] for i in where])
            costs = self.pricer.seconds(table)
            if len(where) == len(new):
                self.seconds += costs.tolist()
                break
            self.seconds += [0.0] * (begin + len(new) - len(self.seconds))
            for i, cost in zip(where, costs.tolist(), strict=True):
                self.seconds[begin + i] = cost
        self.clusters += new
        return list(range(begin, len(self.clusters)))


class Master:
    """The linear program over the known columns: every device once, every size as often as asked.

    Times are in units of a typical cluster's seconds, so that HiGHS' absolute tolerances mean the
    same for all problems. Between solutions it keeps its basis, from which the primal simplex goes
    on when columns have come.

    Parameters
    ----------
    pricer
        The problem.
    columns
        The columns; call `extend` after adding to them.
    unit_s
        The unit of time in s.
    """

    def __init__(self, pricer: Pricer, columns: Columns, unit_s: float) -> None:
        self.columns = columns
        self.unit_s = unit_s
        self.devices = pricer.problem.devices
        self.highs = silent_highs()
        self.sizes = list(pricer.count_of) if len(pricer.count_of) > 1 else []
        for option, value in (
            ("parallel", "off"),  # "threads" must be what the first run of the process had
            ("presolve", "off"),
            ("simplex_strategy", 4),  # primal: after new columns the old basis stays feasible
            ("primal_feasibility_tolerance", _TOLERANCE),
            ("dual_feasibility_tolerance", _TOLERANCE),
        ):
            self.highs.setOptionValue(option, value)
        sides = np.ones(self.devices + len(self.sizes))
        sides[self.devices :] = [pricer.count_of[size] for size in self.sizes]
        empty = np.zeros(0, dtype=np.int32)
        starts = np.zeros(len(sides), dtype=np.int32)
        self.highs.addRows(len(sides), sides, sides, 0, starts, empty, np.zeros(0))
        self.known = 0
        self.cuts: list[tuple[int, int, int]] = []
        self.extend()

    def extend(self) -> None:
        """Add the columns that have come since the last call."""
        new = self.columns.clusters[self.known :]
        if not new:
            return
        self.highs.setOptionValue("simplex_strategy", 4)
        rows: list[IntArray] = []
        lengths: list[int] = []
        first = self.devices + len(self.sizes)
        for members, in_cuts in zip(new, self._in_cuts(new), strict=True):
            parts = [members]
            if self.sizes:
                parts.append(np.array([self.devices + self.sizes.index(len(members))]))
            rows += [*parts, first + np.flatnonzero(in_cuts)]
            lengths.append(sum(map(len, parts)) + int(in_cuts.sum()))
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int32)
        index = np.concatenate(rows).astype(np.int32)
        costs = np.array(self.columns.seconds[self.known :]) / self.unit_s
        count = len(new)
        self.highs.addCols(
            count,
            costs,
            np.zeros(count),
            np.full(count, np.inf),
            len(index),
            starts,
            index,
            np.ones(len(index)),
        )
        self.known += count

    def _in_cuts(self, clusters: list[IntArray]) -> Any:
        """Return whether each cluster holds two of the triple of each cut: shape (F, Q), bool."""
        holds = np.zeros((len(clusters), self.devices), dtype=np.int8)
        for row, members in enumerate(clusters):
            holds[row, members] = 1
        triples = np.array(self.cuts, dtype=np.int64).reshape(-1, 3)
        return holds[:, triples].sum(axis=2) >= 2

    def add_cuts(self, cuts: list[tuple[int, int, int]]) -> None:
        """Allow at most one cluster with two or more of each triple."""
        if not cuts:
            return
        self.highs.setOptionValue("simplex_strategy", 1)  # dual: the old basis stays feasible in it
        self.cuts, before = cuts, self.cuts
        for held in self._in_cuts(self.columns.clusters[: self.known]).T:
            index = np.flatnonzero(held).astype(np.int32)
            self.highs.addRow(-np.inf, 1.0, len(index), index, np.ones(len(index)))
        self.cuts = before + cuts

    def keep_cuts(self, kept: IntArray) -> None:
        """Drop all cuts but those at these places."""
        first = self.devices + len(self.sizes)
        gone = np.setdiff1d(np.arange(len(self.cuts)), kept)
        if len(gone):
            self.highs.deleteRows(len(gone), (first + gone).astype(np.int32))
            self.cuts = [self.cuts[place] for place in kept]

    def cut_prices(self) -> FloatArray:
        """Shape (Q,), >= 0: what the last solution would save in s if a cut were not there."""
        duals = np.array(self.highs.getSolution().row_dual)[self.devices + len(self.sizes) :]
        return np.maximum(-duals * self.unit_s, 0.0)

    def solve(self, time_limit_s: float) -> tuple[float, Duals] | None:
        """Solve it; return its value in s and its prices, None where HiGHS does not finish."""
        import highspy

        end = self.highs.getRunTime() + time_limit_s  # HiGHS' clock goes on from run to run
        self.highs.setOptionValue("time_limit", float(end))
        self.highs.run()
        if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        duals = np.array(self.highs.getSolution().row_dual) * self.unit_s
        last = self.devices + len(self.sizes)
        size = dict(zip(self.sizes, duals[self.devices : last].tolist(), strict=True))
        prices = Duals(
            duals[: self.devices], size or dict.fromkeys(self.columns.pricer.count_of, 0.0)
        )
        return float(self.highs.getObjectiveValue()) * self.unit_s, prices

    def weights(self) -> FloatArray:
        """Shape (columns,): the last solution."""
        return np.array(self.highs.getSolution().col_value)
