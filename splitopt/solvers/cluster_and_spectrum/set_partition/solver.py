"""The solver `set_partition`, from the first partition to the proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.problems.base import IntArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cluster_and_spectrum.annealing import Anneal, default_iterations
from splitopt.solvers.cluster_and_spectrum.set_partition.closing import (
    cheapest_partition,
    partition_by_highs,
)
from splitopt.solvers.cluster_and_spectrum.set_partition.columns import Columns, Master
from splitopt.solvers.cluster_and_spectrum.set_partition.generation import Generation
from splitopt.solvers.cluster_and_spectrum.set_partition.loading import load_loops
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer

_EXACT = 1e-12
"""What a sum of seconds may be wrong by, relatively."""
_SHARE = 0.7
"""Share of the time that is left which HiGHS gets to look for a better partition."""
_MOST_S = 60.0
"""What HiGHS gets at most, and what a run without a limit counts as."""
_FEW = 40
"""Up to so many devices the optimum is usually proved, and a short annealing will do."""
_SWAPS_PER_S = 50_000
_MOST_SWAPS = 4_000_000


@dataclass(frozen=True)
class SetPartition(Solver[ClusterAndSpectrum]):
    """Choose clusters from all there are: a set partition by column generation.

    Its relaxation gives prices of the devices, which prove a bound; ``details["prices"]`` holds
    them, and `certified_bound` proves the same bound again from nothing else. Up to 62 devices,
    where few enough clusters may still be in a better partition, a search proves the optimum.

    Parameters
    ----------
    max_cells
        Cells that one exact pricing may search; fewer give a weaker bound, which is valid too.
    max_listed
        Clusters of one size that may be listed to prove the optimum.
    most_devices
        Refuse a problem with more devices than this.
    """

    name: ClassVar[str] = "set_partition"
    problem: ClassVar[str] = "cluster_and_spectrum"
    objectives: ClassVar[frozenset[str]] = frozenset(ClusterAndSpectrum.objectives)
    kind: ClassVar[Kind] = "exact"
    requires: ClassVar[tuple[str, ...]] = ("highspy",)

    max_cells: int = 2_000_000
    max_listed: int = 2_000_000
    most_devices: int = 1_000

    def __post_init__(self) -> None:
        for name in ("max_cells", "max_listed", "most_devices"):
            check_whole(name, getattr(self, name), 1)

    def refusal(self, problem: ClusterAndSpectrum) -> str | None:
        """Reject what would take hours."""
        if problem.devices <= self.most_devices:
            return None
        return (
            f"would price clusters of {problem.devices:,} devices, more than its limit of "
            f"most_devices = {self.most_devices:,}"
        )

    def load(self, problem: ClusterAndSpectrum) -> None:
        """Compile the loops, or load what an earlier process compiled."""
        if not problem.is_small:
            load_loops()

    def run(self, problem: ClusterAndSpectrum, search: Search) -> StopReason:
        """Find a good partition, generate columns, and close the gap as far as time allows."""
        annealing(problem, search.time_limit_s).run(problem, search)
        if (reason := search.stop()) is not None:
            return reason
        pricer = Pricer(problem)
        known = self._best_clusters(search)
        columns = Columns(pricer)
        columns.add(known)
        unit_s = float(np.mean(columns.seconds)) or 1.0
        master = Master(pricer, columns, unit_s)
        generation = Generation(pricer, columns, master, self.max_cells, search.prove)
        while search.stop() is None and generation.step(min(search.remaining_s, 1e9)):
            search.iterations += 1
        if search.stop() is None:
            generation.settle()
        if generation.best is not None:
            search.details["prices"] = generation.best.device.tolist()
        search.details |= {"columns": len(columns), "passes": generation.passes}
        search.details["cells"] = generation.cells
        return search.stop() or self._close(pricer, generation, unit_s, search)

    def _close(
        self, pricer: Pricer, generation: Generation, unit_s: float, search: Search
    ) -> StopReason:
        """Prove the optimum, or look for a better partition among the known columns."""
        duals = generation.best
        if duals is None:
            return "iterations"
        if pricer.problem.devices > _FEW:
            self._improve(pricer, generation, unit_s, search)
            if (reason := search.stop()) is not None:
                return reason
        found, complete = cheapest_partition(
            pricer,
            duals,
            generation.bound,
            search.objective,
            self.max_listed,
            lambda: search.stop() is not None,
        )
        if found is not None:
            search.propose(pricer.problem.complete(found))
        if complete:
            search.prove(search.objective * (1 - _EXACT))
            return search.stop() or "proved"
        return search.stop() or "iterations"

    def _improve(
        self, pricer: Pricer, generation: Generation, unit_s: float, search: Search
    ) -> None:
        """Choose among the columns by HiGHS; from time to time it finds a better partition."""
        assert generation.best is not None
        limit = min(_MOST_S, _SHARE * search.remaining_s)
        slack = search.objective - generation.bound
        found = partition_by_highs(
            pricer, generation.columns, generation.best, slack, unit_s, limit
        )
        if found is not None:
            search.propose(pricer.problem.complete(found))

    @staticmethod
    def _best_clusters(search: Search) -> list[IntArray]:
        """Return the clusters of the incumbent, members ascending."""
        best = search.best
        assert best is not None
        return [np.sort(cluster) for cluster in best.clusters]  # type: ignore[attr-defined]


def annealing(problem: ClusterAndSpectrum, time_limit_s: float | None) -> Anneal:
    """Return the search for the first partition: the more time there is, the more swaps.

    They take about a sixth of the time, which is counted in swaps so that an answer does not depend
    on the machine.
    """
    if problem.devices <= _FEW:
        return Anneal()
    wanted = int(_SWAPS_PER_S * (_MOST_S if time_limit_s is None else time_limit_s))
    swaps = max(default_iterations(problem.devices), min(_MOST_SWAPS, wanted))
    return Anneal(iterations=swaps, chains=1)
