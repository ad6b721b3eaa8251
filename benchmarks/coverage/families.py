"""Synthetic rounds of which the true mean and CVaR under every cut are known.

The exact latency is D = L (1 + B / 2) with the cheap bounds L and 1.5 L. B lies in [0.083, 0.817]
with mean 0.45 and standard deviation 0.15, half of its variance common to all cuts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from splitopt.problems.cut_under_uncertainty.risk import statistic
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Cheap, Request

FloatArray = npt.NDArray[np.float64]
DEVICES = 4
LOOSE = 1.5
_MIDDLE, _REACH = 0.45, 0.15 * np.sqrt(6.0)
"""B is the middle plus two uniform numbers of this width each, centred."""

_GRID = (20_000, 200)


@dataclass(frozen=True, eq=False)
class Family:
    """A distribution of rounds.

    Parameters
    ----------
    name
        In the table.
    gaps
        Shape (V,): how far each cut's mean is above the best one's, relatively.
    lower
        Uniform numbers of shape (n, V + DEVICES + 1) -> L of shape (V, n).
    quantile
        Uniform numbers -> L under one cut, increasing: ``quantile(u, cut)``.
    ends
        Smallest and largest L, shape (2, V).
    """

    name: str
    gaps: FloatArray
    lower: Callable[[FloatArray], FloatArray]
    quantile: Callable[[FloatArray, int], FloatArray]
    ends: FloatArray

    def truth(self, objective: str, level: float) -> FloatArray:
        """Shape (V,): the objective's true value, by a grid over the quantiles of L and of B."""
        count, fine = _GRID
        u = (np.arange(count) + 0.5) / count
        w = (np.arange(fine) + 0.5) / fine
        # The sum of two uniform numbers is triangular on [0, 2].
        sums = np.where(w < 0.5, np.sqrt(2 * w), 2 - np.sqrt(2 * (1 - w)))
        factor = 1 + (_MIDDLE + _REACH * (sums - 1)) / 2
        found = []
        for v in range(len(self.gaps)):
            latencies = np.outer(self.quantile(u, v), factor).ravel()
            found.append(float(statistic(latencies, objective, level)))
        return np.array(found)


def longest_inverse(u: FloatArray, speeds: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Quantile of the largest 1 / speed of the devices, which is that of the slowest one."""
    return np.asarray(1 / speeds(1 - u ** (1 / DEVICES)))


def straggling(
    name: str, gaps: Sequence[float], speeds: Callable[[FloatArray], FloatArray]
) -> Family:
    """Make L = s + w max 1 / speed over the devices; cuts differ in how much of L is work."""
    above = np.array(gaps)
    grid = (np.arange(200_000) + 0.5) / 200_000
    mean = float(longest_inverse(grid, speeds).mean())
    work = np.linspace(0.3, 0.8, len(above))

    def shape(longest: FloatArray, v: int) -> FloatArray:
        return np.asarray((1 + above[v]) * (1 - work[v] + work[v] * longest / mean))

    def lower(u: FloatArray) -> FloatArray:
        longest = (1 / speeds(u[:, :DEVICES])).max(axis=1)
        return np.stack([shape(longest, v) for v in range(len(above))])

    def quantile(u: FloatArray, v: int) -> FloatArray:
        return shape(longest_inverse(u, speeds), v)

    fastest, slowest = 1 / speeds(np.ones(1)), 1 / speeds(np.zeros(1))
    ends = np.array([[shape(x, v)[0] for v in range(len(above))] for x in (fastest, slowest)])
    return Family(name, above, lower, quantile, ends)


def _uniform_speed(u: FloatArray) -> FloatArray:
    return np.asarray(0.5 + u)


def _lognormal_speed(u: FloatArray) -> FloatArray:
    low, high = ndtr(-3.0), ndtr(3.0)
    return np.asarray(np.exp(0.35 * np.clip(ndtri(low + u * (high - low)), -3.0, 3.0)))


def rare(name: str, gaps: Sequence[float], slow: int = 1, often: float = 0.02) -> Family:
    """Make 2 % of the rounds 30 times slower under one cut, which is the fastest otherwise."""
    above, times = np.array(gaps), 30.0
    base = 1 + above
    base[slow] /= 1 - often + often * times

    def lower(u: FloatArray) -> FloatArray:
        spread = 0.9 + 0.2 * u[:, 0]
        found = base[:, None] * spread
        found[slow] *= np.where(u[:, 1] < often, times, 1.0)
        return np.asarray(found)

    def quantile(u: FloatArray, v: int) -> FloatArray:
        if v != slow:
            return np.asarray(base[v] * (0.9 + 0.2 * u))
        late = u >= 1 - often
        rest = np.where(late, (u - (1 - often)) / often, u / (1 - often))
        return np.asarray(base[v] * (0.9 + 0.2 * rest) * np.where(late, times, 1.0))

    most = 1.1 * base
    most[slow] *= times
    return Family(name, above, lower, quantile, np.array([0.9 * base, most]))


def near(name: str, gaps: Sequence[float], reach: float = 0.45) -> Family:
    """Draw independent noise for every cut."""
    above = np.array(gaps)

    def lower(u: FloatArray) -> FloatArray:
        own = u[:, DEVICES + 1 : DEVICES + 1 + len(above)].T
        return np.asarray((1 + above)[:, None] * (1 + reach * (2 * own - 1)))

    def quantile(u: FloatArray, v: int) -> FloatArray:
        return np.asarray((1 + above[v]) * (1 + reach * (2 * u - 1)))

    ends = np.array([(1 - reach) * (1 + above), (1 + reach) * (1 + above)])
    return Family(name, above, lower, quantile, ends)


@cache
def families() -> dict[str, Family]:
    """Return all families by name."""
    found = (
        straggling("uniform", (0, 0.02, 0.04, 0.08, 0.15), _uniform_speed),
        straggling("lognormal", (0, 0.005, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2), _lognormal_speed),
        rare("rare", (0, 0.05, 0.03)),
        near("near", tuple(0.003 * v / 9 for v in range(10))),
        straggling("edge", (0, 0.0102, 0.0102, 0.0102, 0.0102), _uniform_speed),
    )
    return {family.name: family for family in found}


@dataclass
class Drawn:
    """`Rounds` of a family.

    Parameters
    ----------
    family
        What is drawn.
    seed
        Of all draws.
    """

    family: Family
    seed: int

    @property
    def cuts(self) -> int:
        """Number of cuts V."""
        return len(self.family.gaps)

    def least(self) -> FloatArray:
        """Shape (V,): the smallest L."""
        return self.family.ends[0]

    def most(self) -> FloatArray:
        """Shape (V,): the largest U."""
        return np.asarray(LOOSE * self.family.ends[1])

    def draw(self, stream: int, count: int, cut: int | None = None) -> Cheap:
        """Draw a block."""
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(stream,)))
        lower = self.family.lower(rng.random((count, self.cuts + DEVICES + 1)))
        if cut is not None:
            lower = lower[cut : cut + 1]
        return Cheap(stream, lower, LOOSE * lower)

    def answer(self, requests: Sequence[Request]) -> list[FloatArray]:
        """Compute D; B belongs to the round, not to when it is asked for."""
        found = []
        drawn: dict[int, FloatArray] = {}
        for request in requests:
            cheap, rows = request.cheap, request.rows
            if cheap.stream not in drawn:
                key = (cheap.stream, 1)
                rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
                drawn[cheap.stream] = rng.random((cheap.lower.shape[1], self.cuts + 1))
            common, own = drawn[cheap.stream][rows, -1], drawn[cheap.stream][rows, request.cut]
            share = _MIDDLE + _REACH * (common + own - 1)
            found.append(cheap.lower[request.cut, rows] * (1 + share / 2))
        return found
