"""What it is worth to model uncertainty, and what it would be worth to know the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_under_uncertainty.risk import EXPECTED, statistic
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Cheap
from splitopt.solvers.cut_under_uncertainty.confidence.betting import mean_interval
from splitopt.solvers.cut_under_uncertainty.confidence.tail_value import TailValue

Answer = Callable[[int, IntArray], FloatArray]
"""(cut, rows) -> latencies in s."""


@dataclass(frozen=True, eq=False)
class Population:
    """Rounds on which cuts are compared after one was chosen.

    Parameters
    ----------
    lower
        Shape (V, n): lower bounds on their latencies, in s.
    answer
        Has them answered.
    objective, cvar_level
        See `risk.statistic`.
    level
        Of the intervals; None where these rounds are all that there are.
    pilot, least, most
        Other rounds of the same distribution, and the ends of the latencies (V,): for the
        intervals.
    """

    lower: FloatArray
    answer: Answer
    objective: str
    cvar_level: float
    level: float | None = None
    pilot: Cheap | None = None
    least: FloatArray | None = None
    most: FloatArray | None = None


def value_of_uncertainty(
    population: Population, names: tuple[str, ...], cut: int, naive: int
) -> dict[str, Any]:
    """Return VSS and EVPI over the rounds, in s, and intervals that cover their true values.

    The value of the stochastic solution is what the cut of the averaged round costs more than
    `cut`: how much is lost by planning with mean values. The expected value of perfect information
    is what `cut` costs more than choosing the best cut in every single round: how much a forecast
    could gain at most (Birge and Louveaux, chapter 4).

    Parameters
    ----------
    population
        Rounds that had no part in the choice of `cut`, or all that there are.
    names
        Of the cuts.
    cut, naive
        The chosen cut, and that of the averaged round.

    Returns
    -------
    dict
        ``vss_s``, ``mean_value_cut``, ``evpi_s``, ``wait_and_see_s`` (the objective when the best
        cut is known in every round), and ``intervals`` of the first two, None where they are exact.
    """
    rows = np.arange(population.lower.shape[1])
    own, other = population.answer(cut, rows), population.answer(naive, rows)
    least = np.minimum(own, other)
    for v in np.argsort(population.lower.mean(axis=1), kind="stable").tolist():
        asked = np.flatnonzero(population.lower[v] < least)
        if v in (cut, naive) or not len(asked):
            continue
        least[asked] = np.minimum(least[asked], population.answer(v, asked))
    mine, naives, seen = (
        float(statistic(values, population.objective, population.cvar_level))
        for values in (own, other, least)
    )
    return {
        "vss_s": naives - mine,
        "mean_value_cut": names[naive],
        "evpi_s": mine - seen,
        "wait_and_see_s": seen,
        "intervals": _intervals(population, cut, naive, own, other, least),
    }


def _intervals(
    population: Population,
    cut: int,
    naive: int,
    own: FloatArray,
    other: FloatArray,
    least: FloatArray,
) -> dict[str, Any] | None:
    if population.level is None:
        return None
    low, high, pilot = population.least, population.most, population.pilot
    assert low is not None
    assert high is not None
    assert pilot is not None
    same = {"low": 0.0, "high": 0.0}
    if population.objective == EXPECTED:
        level = population.level
        vss = _mean(
            other - own,
            level,
            pilot.lower[naive] - pilot.lower[cut],
            low[naive] - high[cut],
            high[naive] - low[cut],
        )
        evpi = _mean(
            own - least,
            level,
            pilot.upper[cut] - pilot.lower.min(axis=0),
            0.0,
            high[cut] - low.min(),
        )
    else:
        # Two intervals at half the chance of an error make one of the difference.
        level = (1 + population.level) / 2

        def tail(
            values: FloatArray, lower: FloatArray, upper: FloatArray, ends: tuple[float, float]
        ) -> tuple[float, float]:
            found = TailValue.of_pilot(lower, upper, population.cvar_level, ends)
            return found.interval(values, level)

        mine = tail(own, pilot.lower[cut], pilot.upper[cut], (low[cut], high[cut]))
        theirs = tail(other, pilot.lower[naive], pilot.upper[naive], (low[naive], high[naive]))
        best = tail(
            least, pilot.lower.min(axis=0), pilot.upper.min(axis=0), (low.min(), high.min())
        )
        vss = (theirs[0] - mine[1], theirs[1] - mine[0])
        evpi = (max(0.0, mine[0] - best[1]), mine[1] - best[0])
    return {
        "level": population.level,
        "vss_s": same if naive == cut else {"low": vss[0], "high": vss[1]},
        "evpi_s": {"low": evpi[0], "high": evpi[1]},
    }


def _mean(
    values: FloatArray, level: float, pilot: FloatArray, lowest: float, highest: float
) -> tuple[float, float]:
    return mean_interval(
        values, level, float(pilot.mean()), float(lowest), float(highest), float(pilot.var())
    )
