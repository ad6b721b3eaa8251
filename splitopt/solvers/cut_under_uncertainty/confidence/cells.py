"""CVaR from below: for every threshold a function of the latency, and finitely many for all.

CVaR = min over t of g(t), with g(t) the mean of h_t(D) and h_t(x) = t + max(x - t, 0) / (1 - level)
(Rockafellar and Uryasev 2000). What holds for the cell of t that the minimiser lies in holds for
the CVaR; cells are fixed before a round is bet on, so that nothing is paid for their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitopt.problems.base import FloatArray

_FINE, _GROWTH = 0.25, 0.15
"""Width of a cell near the value at risk, in tolerances, and how fast cells grow away from it."""

_MOST_CELLS = 2000


@dataclass(frozen=True, eq=False)
class Cells:
    """Lower bounds on g between neighbouring thresholds.

    Parameters
    ----------
    level
        Of the CVaR, above 0 and below 1.
    edges
        Increasing thresholds in s: cell k lies between ``edges[k]`` and ``edges[k + 1]``, the last
        one above the last edge.
    knots
        t1 < t2: cells below t1 extend the chord of g from t1 to t2, which is above it nowhere on
        the left, g being convex. No latency below t1 has to be known then: h_t1 and h_t2 do not
        depend on it. None: there are no such cells.
    """

    level: float
    edges: FloatArray
    knots: tuple[float, float] | None = None

    @property
    def known_below(self) -> float:
        """Latencies below this, in s, all count the same."""
        return -np.inf if self.knots is None else self.knots[0]

    def values(self, latencies: FloatArray) -> FloatArray:
        """Shape (K, n): for each cell a function of latencies (n,), increasing in each of them.

        Its mean is not above g anywhere in the cell.
        """
        low, high = self.edges[:, None], np.append(self.edges[1:], np.inf)[:, None]
        if self.knots is None:
            return self._direct(low, high, latencies)
        first, second = self.knots
        left = self.edges < first
        found = np.empty((len(self.edges), len(latencies)))
        found[~left] = self._direct(low[~left], high[~left], latencies)
        near = self._shortfall(first, latencies)
        fall = near - self._shortfall(second, latencies)
        ends = [near + (first - edge[left]) / (second - first) * fall for edge in (low, high)]
        found[left] = np.minimum(*ends)
        return found

    def _direct(self, low: FloatArray, high: FloatArray, latencies: FloatArray) -> FloatArray:
        return np.asarray(low + np.maximum(latencies - high, 0.0) / (1.0 - self.level))

    def _shortfall(self, threshold: float, latencies: FloatArray) -> FloatArray:
        return np.asarray(threshold + np.maximum(latencies - threshold, 0.0) / (1.0 - self.level))


def make_cells(
    lower: FloatArray, upper: FloatArray, level: float, width: float, ends: tuple[float, float]
) -> Cells:
    """Make cells for one cut from cheap rounds that are not bet on.

    Parameters
    ----------
    lower, upper
        Shape (n,): bounds on the latencies of those rounds, in s.
    level
        Of the CVaR.
    width
        The tolerance in s.
    ends
        No latency lies outside; thresholds outside need no look, h is larger there in every round.
    """
    least, most = ends
    # Left of the quantile of the lower bounds g falls: its slope is 1 - P(D > t) / (1 - level).
    second = float(np.quantile(lower, level))
    first = float(np.quantile(lower, max(2 * level - 1, level / 2)))
    upper_end = max(float(np.quantile(upper, level)), second)
    spread = most - least
    knots = (first, second) if second - first > 1e-6 * spread and first > least else None
    fine = max(_FINE * width, spread / _MOST_CELLS, 1e-12 * max(abs(most), 1e-300))
    right = [second]
    while right[-1] < most:
        right.append(right[-1] + max(fine, _GROWTH * (right[-1] - upper_end)))
    left = [second]
    while left[-1] > least:
        left.append(left[-1] - max(fine, _GROWTH * (second - left[-1])))
    edges = np.array([*left[:0:-1], *right])
    if knots is not None:  # a cell lies on one side of t1
        edges = np.unique(np.append(edges, first))
    return Cells(level, np.clip(edges, least, None), knots)
