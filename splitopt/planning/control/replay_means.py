"""What a replay of drawn rounds says about the mean of all rounds: intervals that hold."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty, Generator
from splitopt.problems.cut_under_uncertainty.blocks import FixedPlan, fixed_plan
from splitopt.solvers.cut_under_uncertainty.confidence.betting import mean_interval

LEVEL = 0.95
_STREAM, _CHEAP, _AT_ONCE = 2**21, 16_384, 1024

Interval = tuple[float, float]


class ReplayMeans:
    """Intervals of the mean latencies of policies.

    A policy's mean is that of its rounds' conditional means: a plan may go on from the last one.
    What never takes longer than a fixed plan has a mean that is at most the fixed plan's, which
    many rounds without an answer tell; nothing is shorter than the lower bounds.

    Parameters
    ----------
    problem, cut
        Rounds by a generator of distributions, and the cut that stays.
    fallback
        Of every cut: a fixed plan.
    """

    def __init__(
        self, problem: CutUnderUncertainty, cut: int, fallback: list[ClusterAndSpectrumDecision]
    ):
        assert isinstance(problem.source, Generator)
        self._source, self._cut, self._fallback = problem.source, cut, fallback
        self._best, self._worst = problem.source.ends()

    def of_fixed(self, plan: ClusterAndSpectrumDecision) -> Interval:
        """Return the interval of one plan in all rounds; the replay is not needed."""
        values = self._many(fixed_plan([plan]), self._cut)[1]
        return self._interval(values, LEVEL, values, self._plan_worst(self._cut, plan))

    def of_bounded(self, latencies: FloatArray, any_cut: bool = False) -> Interval:
        """Return the interval of what never takes longer than the fallback of its cut."""
        half = (1 + LEVEL) / 2  # two intervals at half the chance of an error
        plan = fixed_plan([self._fallback[self._cut]])
        lower, upper = self._many(plan, self._cut)
        if any_cut:
            others = [v for v in range(len(self._fallback)) if v != self._cut]
            for v in others:
                lower = np.minimum(lower, self._many(fixed_plan([self._fallback[v]]), v)[0])
        most = self._plan_worst(self._cut, self._fallback[self._cut])
        lowest, highest = (
            self._interval(lower, half, lower, most, any_cut)[0],
            self._interval(upper, half, upper, most, any_cut)[1],
        )
        own = self._interval(latencies, half, upper, most, any_cut)
        return max(lowest, own[0]), min(highest, own[1])

    def of_any(self, latencies: FloatArray) -> Interval:
        """Return the interval of any plans: at worst every device has one subcarrier."""
        worst = self._worst[self._cut]
        devices, clusters = worst.devices, len(worst.cluster_sizes)
        everybody = np.tile(np.arange(devices), (clusters, 1))
        plan = FixedPlan(np.ones(devices, dtype=np.int64), everybody, worst.cluster_sizes)
        upper = self._many(fixed_plan([self._fallback[self._cut]]), self._cut)[1]
        return self._interval(latencies, LEVEL, upper, float(worst.seconds(plan)))

    def _interval(
        self,
        values: FloatArray,
        level: float,
        pilot: FloatArray,
        most: float,
        any_cut: bool = False,
    ) -> Interval:
        floors = self._best.bounds()
        least = float(floors.min() if any_cut else floors[self._cut])
        first = pilot[:_AT_ONCE]
        # Where the interval is of the pilot itself, its first rounds are spent on the guesses.
        rest = values[_AT_ONCE:] if values is pilot else values
        return mean_interval(rest, level, float(first.mean()), least, most, float(first.var()))

    def _plan_worst(self, cut: int, plan: ClusterAndSpectrumDecision) -> float:
        return float(self._worst[cut : cut + 1].seconds(fixed_plan([plan]))[0])

    def _many(self, plan: FixedPlan, cut: int) -> tuple[FloatArray, FloatArray]:
        """Shape (n,) each: lower bounds on many rounds under a cut, and what a plan takes."""
        source = self._source.of_cut(cut)
        drawn = source.draw_many(_STREAM, _CHEAP)
        lower, upper = [], []
        for first in range(0, _CHEAP, _AT_ONCE):
            rows = {name: table[first : first + _AT_ONCE] for name, table in drawn.items()}
            part = source.at(**rows)
            lower.append(part.bounds()[:, 0])
            upper.append(part.seconds(plan)[:, 0])
        return np.concatenate(lower), np.concatenate(upper)
