"""The solver `set_partition`, from the first partition to the proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.documents.checks import check_whole
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cluster_and_spectrum.annealing import Anneal, default_iterations
from splitopt.solvers.cluster_and_spectrum.set_partition.by_columns import (
    FEW,
    clusters_of_best,
    solve_by_columns,
)
from splitopt.solvers.cluster_and_spectrum.set_partition.closing import MOST_DEVICES
from splitopt.solvers.cluster_and_spectrum.set_partition.fleets import (
    propose_sorted,
    solve_fleet,
    swap_on,
)
from splitopt.solvers.cluster_and_spectrum.set_partition.loading import load_loops
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cluster_and_spectrum.set_partition.types import (
    Types,
    exact_types,
    near_types,
)
from splitopt.solvers.cluster_and_spectrum.swaps import load_swaps

_SHARE = 0.7
"""Share of the time that is left which HiGHS gets to look for a better partition."""
_MOST_S = 60.0
"""What HiGHS gets at most, and what a run without a limit counts as."""
_SHARE_OF_NEAR = 0.1
"""Share of the time for types that are only near, where columns can be generated as well."""
_SWAPS_PER_S = 20_000
_MOST_SWAPS = 4_000_000
_SWAPS_PER_DEVICE = 6_000


@dataclass(frozen=True)
class SetPartition(Solver[ClusterAndSpectrum]):
    """Choose clusters from all there are: a set partition by column generation.

    Its relaxation gives prices of the devices, which prove a bound; ``details["prices"]`` holds
    them, and `certified_bound` proves the same bound again from nothing else. Up to 62 devices,
    where few enough clusters may still be in a better partition, a search proves the optimum.
    Where the devices are of few types, an integer program over the compositions of clusters proves
    it for any number of them; where they are nearly so, to about what the types are apart.

    Parameters
    ----------
    max_cells
        Cells that one exact pricing may search; fewer give a weaker bound, which is valid too.
    max_listed
        Clusters of one size that may be listed to prove the optimum.
    most_devices
        Refuse a problem with more devices than this, unless they are nearly of few types.
    max_compositions
        Types count as few while clusters have at most so many compositions of them.
    """

    name: ClassVar[str] = "set_partition"
    problem: ClassVar[str] = "cluster_and_spectrum"
    objectives: ClassVar[frozenset[str]] = frozenset(ClusterAndSpectrum.objectives)
    kind: ClassVar[Kind] = "exact"
    requires: ClassVar[tuple[str, ...]] = ("highspy",)

    max_cells: int = 2_000_000
    max_listed: int = 8_000_000
    most_devices: int = 1_000
    max_compositions: int = 10_000

    def __post_init__(self) -> None:
        for name in ("max_cells", "max_listed", "most_devices", "max_compositions"):
            check_whole(name, getattr(self, name), 1)

    def refusal(self, problem: ClusterAndSpectrum) -> str | None:
        """Reject what would take hours."""
        if problem.devices <= self.most_devices or self._types(problem) is not None:
            return None
        return (
            f"would price clusters of {problem.devices:,} devices, more than its limit of "
            f"most_devices = {self.most_devices:,}, and they are not of a few types"
        )

    def _types(self, problem: ClusterAndSpectrum) -> Types | None:
        """Return the types of the devices where they are few, or nearly so."""
        exact = exact_types(problem, self.max_compositions)
        if exact is not None or problem.devices <= MOST_DEVICES:
            return exact
        return near_types(problem, self.max_compositions)

    def load(self, problem: ClusterAndSpectrum) -> None:
        """Compile the loops, or load what an earlier process compiled."""
        if problem.devices > self.most_devices:
            load_swaps()
        elif not problem.is_small:
            load_loops()

    def run(self, problem: ClusterAndSpectrum, search: Search) -> StopReason:
        """Find a good partition, generate columns, and close the gap as far as time allows."""
        if (types := self._types(problem)) is not None:
            propose_sorted(problem, search)
            many = problem.devices > self.most_devices
            share = _SHARE if many or types.spread == 0 else _SHARE_OF_NEAR
            limit = min(search.remaining_s, _MOST_S / _SHARE) * share
            if search.stop() is None:
                solve_fleet(problem, types, search, limit)
            if search.stop() is None and many:
                swap_on(problem, search)
            if (reason := search.stop()) is not None or many:
                return reason or "iterations"
        annealing(problem, search.time_limit_s).run(problem, search)
        if (reason := search.stop()) is not None:
            return reason
        return solve_by_columns(
            Pricer(problem), search, clusters_of_best(search), self.max_cells, self.max_listed
        )


def annealing(problem: ClusterAndSpectrum, time_limit_s: float | None) -> Anneal:
    """Return the search for the first partition: the more time there is, the more swaps.

    They take about a sixth of the time, which is counted in swaps so that an answer does not depend
    on the machine.
    """
    if problem.devices <= FEW:
        return Anneal()
    wanted = int(_SWAPS_PER_S * (_MOST_S if time_limit_s is None else time_limit_s))
    most = min(_MOST_SWAPS, _SWAPS_PER_DEVICE * problem.devices)
    swaps = max(default_iterations(problem.devices), min(most, wanted))
    return Anneal(iterations=swaps, chains=1)
