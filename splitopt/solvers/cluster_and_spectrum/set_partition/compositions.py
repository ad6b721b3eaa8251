"""The integer program over compositions: the optimum of fleets of few types, however large.

With types t of N_t devices each, and compositions j that have n_tj devices of type t, take c_j
seconds and are to be formed z_j times::

    minimise sum_j c_j z_j   with   sum_j n_tj z_j = N_t  for every type,
                                    sum_{j of size k} z_j = M_k  for every size k,   z whole.

A device that is like no other is a type of its own. Where types stand for devices that are only
nearly alike, by the lower corner of their terms, the optimum is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.subcarriers import allocate_flat
from splitopt.solvers.backends.integer_program import Answer, Matrix
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cluster_and_spectrum.set_partition.types import Types, all_compositions

_NEARLY = 1e-5
"""To this the program over some compositions is solved, which finds a partition and no bound."""


@dataclass(frozen=True, eq=False)
class Compositions:
    """All compositions of the clusters of a problem.

    Parameters
    ----------
    problem, types
        What is asked, and the types of its devices.
    """

    problem: ClusterAndSpectrum
    types: Types

    @cached_property
    def count_of(self) -> dict[int, int]:
        """Size -> how many clusters have it."""
        sizes, counts = np.unique(self.problem.cluster_sizes, return_counts=True)
        return dict(zip(sizes.tolist(), counts.tolist(), strict=True))

    @cached_property
    def table(self) -> IntArray:
        """Shape (F, T): devices of each type in each composition."""
        listed = [all_compositions(self.types.counts, size) for size in self.count_of]
        return np.concatenate(listed)

    @cached_property
    def sizes(self) -> IntArray:
        """Shape (F,): devices in each composition."""
        return np.asarray(self.table.sum(axis=1))

    @cached_property
    def seconds(self) -> FloatArray:
        """Shape (F,): what each composition takes, without the server's part."""
        kinds = np.tile(np.arange(self.table.shape[1]), len(self.table))
        members = np.repeat(kinds, self.table.ravel())
        return allocate_flat(
            self.types.terms,
            members,
            np.concatenate(([0], np.cumsum(self.sizes))),
            subcarriers=self.problem.subcarriers,
            local_epochs=self.problem.local_epochs,
            server_s_per_device=0.0,
            small=self.problem.is_small,
        ).seconds

    def relaxed(self, time_limit_s: float) -> FloatArray | None:
        """Return prices of the types in s, shape (T,), that prove most; None if it took too long.

        They are those of the program without the condition that z is whole.
        """
        answer = self._solve(np.arange(len(self.table)), time_limit_s, 0, None)
        return None if answer.prices is None else answer.prices[: len(self.types.counts)]

    def whole(
        self, time_limit_s: float, seed: int, within: tuple[FloatArray, float] | None = None
    ) -> Answer:
        """Solve the integer program; the bound is in s, without the server's part.

        Parameters
        ----------
        within
            Prices, and how far above the least of its size a composition's reduced cost may be:
            only those are taken. None takes all.
        """
        kept = np.arange(len(self.table))
        if within is not None:
            kept = np.flatnonzero(self.excess(within[0]) <= within[1])
        answer = self._solve(kept, time_limit_s, seed, _NEARLY if within else 0.0)
        if answer.values is None:
            return answer
        values = np.zeros(len(self.table))
        values[kept] = answer.values
        return replace(answer, values=values)

    def excess(self, prices: FloatArray) -> FloatArray:
        """Shape (F,): reduced costs, less the least one of the same size."""
        reduced = self.seconds - self.table @ prices
        least = {size: reduced[self.sizes == size].min() for size in self.count_of}
        return np.asarray(reduced - np.array([least[size] for size in self.sizes.tolist()]))

    def _solve(
        self, kept: IntArray, time_limit_s: float, seed: int, rel_gap: float | None
    ) -> Answer:
        """Solve the program over some compositions, to a gap or (None) its relaxation."""
        matrix = Matrix()
        supply = [matrix.row(float(n), float(n)) for n in self.types.counts]
        asked = {size: matrix.row(float(m), float(m)) for size, m in self.count_of.items()}
        counts = self.types.counts
        for place in kept.tolist():
            row, size = self.table[place], int(self.sizes[place])
            has = np.flatnonzero(row)
            most = min(int((counts[has] // row[has]).min()), self.count_of[size])
            index = [*(supply[t] for t in has), asked[size]]
            value = [*row[has].astype(np.float64).tolist(), 1.0]
            cost, whole = float(self.seconds[place]), rel_gap is not None
            matrix.add(cost, index, value, whole=whole, most=float(most))
        unit_s = float(self.seconds.mean()) or 1.0
        return matrix.solve(unit_s, time_limit_s, seed, rel_gap or 0.0)

    def bound(self, prices: FloatArray) -> float:
        """Return the bound in s on a round that prices of types prove, by all compositions."""
        reduced = self.seconds - self.table @ prices
        least = {size: float(reduced[self.sizes == size].min()) for size in self.count_of}
        return Pricer(self.problem).lagrangian(prices[self.types.of], least)

    def dealt(self, times: IntArray) -> list[IntArray]:
        """Deal devices to compositions, each so often as it says, the slowest to the slowest.

        Parameters
        ----------
        times
            Shape (F,): whole numbers that meet the conditions of the program.
        """
        problem, types = self.problem, self.types
        kept = np.flatnonzero(times)
        kept = kept[np.argsort(-self.seconds[kept], kind="stable")]
        share = problem.subcarriers / max(float(problem.cluster_sizes.mean()), 1.0)
        slow = problem.terms[:, ::2].sum(axis=1) + problem.terms[:, 1::2].sum(axis=1) / share
        order = np.lexsort((-slow, types.of))
        begin = np.cumsum(types.counts) - types.counts
        clusters: list[IntArray] = []
        for row in np.repeat(self.table[kept], times[kept], axis=0):
            parts = [order[begin[t] : begin[t] + row[t]] for t in np.flatnonzero(row)]
            begin = begin + row
            clusters.append(np.concatenate(parts))
        return clusters
