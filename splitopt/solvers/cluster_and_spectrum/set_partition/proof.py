"""From the relaxation to the proof, for many different devices.

All clusters that can be in a better partition are listed; cuts on triples raise the bound and rule
most of them out; a search over exact covers takes the true seconds of what is left. Where the gap
is too wide to list all, the clusters below a ceiling are: what they prove holds up to the ceiling,
and their prices and cuts are what the next listing begins with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.solvers.base import Search
from splitopt.solvers.cluster_and_spectrum.annealing import Anneal
from splitopt.solvers.cluster_and_spectrum.set_partition.covers import CoverSearch
from splitopt.solvers.cluster_and_spectrum.set_partition.cut_relaxation import (
    ROUNDING,
    Tightened,
    tighten,
)
from splitopt.solvers.cluster_and_spectrum.set_partition.fleets import swap_on
from splitopt.solvers.cluster_and_spectrum.set_partition.pools import Pool, list_pool
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cluster_and_spectrum.set_partition.triples import PricedCuts

_EXACT = 1e-12
"""What a sum of seconds may be wrong by, relatively."""
_MARGIN = 1.001
"""How much more than the gap is listed, so that the ceiling is not below what is reached."""
_PARTS = (0.2, 0.35, 0.5, 0.7, 1.0)
"""Shares of the gap that covers are searched for: the first ones find better partitions."""
_SHARE = 0.75
"""Share of the time that is left which one listing may take, or the cuts."""
_LISTINGS = 8
_SHARE_OF_HIGHS = 0.3
"""Share of the time in which HiGHS may look for a better partition among the columns."""
_MOST_COVERED = 1_000_000
"""More clusters than this are not searched for covers: setting that up would take too long."""
_SWAPS, _MANY = 6_000, 300
"""Swaps for each device of one annealing; from so many devices on it goes on from the best."""
_STEPS = 100_000_000
_MOST_S = 60.0
"""What a run without a limit gets."""


@dataclass
class Proof:
    """One run's way to the optimum.

    Parameters
    ----------
    pricer, search
        The problem and the run.
    cuts
        Prices (and cuts) that prove a bound.
    unit_s
        A typical cluster's seconds.
    max_listed
        Clusters of one size that may be listed.
    improve
        Called once with seconds, to look for a better partition in another way.
    """

    pricer: Pricer
    search: Search
    cuts: PricedCuts
    unit_s: float
    max_listed: int
    improve: Callable[[float], None]
    end_s: float = field(init=False)

    def __post_init__(self) -> None:
        limit = self.search.time_limit_s
        self.end_s = self.search.elapsed_s + _MOST_S if limit is None else limit

    @property
    def left_s(self) -> float:
        """Seconds left."""
        return max(self.end_s - self.search.elapsed_s, 0.0)

    def stop(self) -> bool:
        """Return whether to end."""
        return self.search.stop() is not None or self.left_s <= 0

    def run(self) -> None:
        """List, cut and search until the gap is closed or time is up."""
        least = {size: self._least(size) for size in self.pricer.count_of}
        plain, slack, tight = self.search.bound, np.inf, None
        for _ in range(_LISTINGS):
            if self.stop():
                break
            wanted = _MARGIN * (self.search.objective - plain)
            slack = min(slack, wanted)
            until = self.search.elapsed_s + _SHARE * self.left_s
            listed = self._list(least, slack, until)
            if listed is None:
                slack /= 2
                if tight is not None or self.search.elapsed_s >= until:
                    break  # how long a listing takes hardly depends on how wide it is
                continue
            tight = self._tighten(listed)
            self.cover(tight, _STEPS)
            if listed.ceiling >= self.search.objective:
                break
            # A partial pool may have led to a better partition, whose gap can be listed in whole;
            # and it tells the least reduced costs where those known before were only bounds.
            if _MARGIN * (self.search.objective - plain) > 1.2 * slack:
                break
            parts = zip(least.items(), listed.reduced(self.cuts), strict=True)
            least = {size: float(part.min(initial=low + slack)) for (size, low), part in parts}
            slack = np.inf
        if self.search.time_limit_s is not None:
            self._go_on(tight)

    def _least(self, size: int) -> float:
        return self.pricer.price(self.cuts.prices, size, max_cells=200_000).bound

    def _list(self, least: dict[int, float], slack: float, until: float) -> Pool | None:
        """List what is within `slack` of the least reduced costs; prove what that proves."""
        room = slack + ROUNDING * abs(self.search.objective)
        limits = {size: value + room for size, value in least.items()}
        found = list_pool(
            self.pricer,
            self.cuts,
            limits,
            self.max_listed,
            lambda: self.stop() or self.search.elapsed_s >= until,
        )
        if found is None:
            return None
        pool, bound = found
        self.search.prove(bound)
        self.search.details["listed"] = len(pool)
        return pool

    def _tighten(self, pool: Pool) -> Tightened:
        """Add cuts."""
        end = self.search.elapsed_s + _SHARE * self.left_s
        known = self._known()
        found = tighten(pool, self.cuts, known, self.unit_s, self.search, end)
        self.search.details |= {"left": len(found.pool), "cuts": len(found.cuts.sigma)}
        return found

    def _known(self) -> list[IntArray]:
        best = self.search.best
        assert best is not None
        return [np.sort(cluster) for cluster in best.clusters]  # type: ignore[attr-defined]

    def cover(self, tight: Tightened, most_steps: int) -> bool:
        """Search for covers within growing parts of the gap; tell whether it was all of it.

        A complete search within a part proves the bound plus that part, or what it found, as far
        as the ceiling; beyond it, it may still find better partitions.
        """
        search, pool, cuts = self.search, tight.pool, tight.cuts
        bound = searched = tight.bound
        while not self.stop():
            goal, gap = search.objective, search.objective - bound
            search.prove(min(searched, goal, pool.ceiling) * (1 - _EXACT))
            if searched >= goal:
                return True
            ahead = (part for part in _PARTS if bound + part * gap > searched + 1e-3 * gap)
            part = next(ahead, 1.0)
            target = goal if part == 1.0 else bound + part * gap
            room = target - bound + ROUNDING * abs(goal)
            near = pool.below(pool.reduced(cuts), room)
            if len(near) > _MOST_COVERED:
                return False
            excess = [part - part.min(initial=np.inf) for part in near.reduced(cuts)]
            covers = CoverSearch(self.pricer, near.members, near.seconds, excess, bound)
            found = covers.search(room, goal, most_steps, self.stop)
            if found.clusters is not None:
                search.propose(self.pricer.problem.complete(found.clusters))
            if not found.complete:
                return False
            searched = target
        return False

    def _go_on(self, tight: Tightened | None) -> None:
        """Search deeper and look for better partitions, in turn, while there is time."""
        steps, seed, searched = 4 * _STEPS, self.search.seed, tight is None
        if not self.stop():
            self.improve(_SHARE_OF_HIGHS * self.left_s)
        while not self.stop():
            if tight is not None and not searched:
                searched = self.cover(tight, steps)
                steps *= 4
            seed += 1
            self.start_anew(seed, 0.5 * self.left_s)

    def start_anew(self, seed: int, time_limit_s: float) -> None:
        """Anneal from the start with other random numbers, then go on from the best."""
        problem = self.pricer.round
        inner = Search(problem, max(time_limit_s, 0.01), 0.0, seed)
        Anneal(iterations=_SWAPS * problem.devices, chains=1).run(problem, inner)
        if inner.best is not None and inner.objective < self.search.objective:
            self.search.propose(inner.best)
        if problem.devices > _MANY:
            swap_on(problem, self.search)
