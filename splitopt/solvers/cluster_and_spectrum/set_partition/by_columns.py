"""From a first partition to the proof: columns, prices, and what closes the gap they leave."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.cluster_and_spectrum.set_partition.closing import (
    cheapest_partition,
    partition_by_highs,
)
from splitopt.solvers.cluster_and_spectrum.set_partition.columns import Columns, Master
from splitopt.solvers.cluster_and_spectrum.set_partition.generation import Generation
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cluster_and_spectrum.set_partition.proof import Proof
from splitopt.solvers.cluster_and_spectrum.set_partition.triples import PricedCuts

FEW = 40
"""Up to so many devices the optimum is usually proved, and a short annealing will do."""
_EXACT = 1e-12
"""What a sum of seconds may be wrong by, relatively."""
_MOST_S = 60.0
"""What HiGHS gets at most."""
_MOST_AT_ONCE = 2_000_000
"""Clusters that are searched for covers without cuts on triples."""


def solve_by_columns(
    pricer: Pricer,
    search: Search,
    known: list[IntArray],
    max_cells: int,
    max_listed: int,
    proof: type[Proof] = Proof,
) -> StopReason:
    """Generate columns, and close the gap that the relaxation leaves as far as time allows.

    Parameters
    ----------
    pricer, search
        What is priced, and a run that has a decision already.
    known
        Clusters to begin with, members rising, among them those of a partition.
    max_cells, max_listed
        As of `SetPartition`.
    proof
        What closes the gap of many devices.
    """
    generation = generate(pricer, search, known, max_cells)
    if generation.best is not None:
        search.details["prices"] = generation.best.device.tolist()
    search.details |= {"columns": len(generation.columns), "passes": generation.passes}
    search.details["cells"] = generation.cells
    return search.stop() or _close(generation, search, max_listed, proof)


def generate(
    pricer: Pricer, search: Search, known: list[IntArray], max_cells: int, enough: float = np.inf
) -> Generation:
    """Solve the relaxation over all clusters by columns, and prove what it proves to the search.

    Parameters
    ----------
    enough
        Stop as soon as a bound of so many seconds is proved.
    """
    columns = Columns(pricer)
    columns.add(known)
    unit_s = float(np.mean(columns.seconds)) or 1.0
    master = Master(pricer, columns, unit_s)
    generation = Generation(pricer, columns, master, max_cells, search.prove)
    while search.stop() is None and generation.bound < enough:
        if not generation.step(min(search.remaining_s, 1e9)):
            break
        search.iterations += 1
    if search.stop() is None and generation.bound < enough:
        generation.settle()
    return generation


def _close(
    generation: Generation, search: Search, max_listed: int, proof: type[Proof]
) -> StopReason:
    """Prove the optimum, or look for a better partition among the known columns."""
    duals, pricer, unit_s = generation.best, generation.pricer, generation.master.unit_s
    if duals is None:
        return "iterations"
    if pricer.problem.devices <= FEW:
        found, complete = cheapest_partition(
            pricer,
            duals,
            generation.bound,
            search.objective,
            min(max_listed, _MOST_AT_ONCE),
            lambda: search.stop() is not None,
        )
        if found is not None:
            search.propose(pricer.problem.complete(found))
        if complete:
            search.prove(search.objective * (1 - _EXACT))
    if search.stop() is None:
        none = np.zeros((0, 3), dtype=np.int64)
        cuts = PricedCuts(duals.device, none, np.zeros(0))

        def improve(limit_s: float) -> None:
            """Choose among the columns by HiGHS; it may find a better partition."""
            slack = search.objective - generation.bound
            found = partition_by_highs(
                pricer, generation.columns, duals, slack, unit_s, min(_MOST_S, limit_s)
            )
            if found is not None:
                search.propose(pricer.problem.complete(found))

        proof(pricer, search, cuts, unit_s, max_listed, improve).run()
    return search.stop() or "iterations"


def clusters_of_best(search: Search) -> list[IntArray]:
    """Return the clusters of the incumbent, members rising."""
    best = search.best
    assert best is not None
    return [np.sort(cluster) for cluster in best.clusters]  # type: ignore[attr-defined]
