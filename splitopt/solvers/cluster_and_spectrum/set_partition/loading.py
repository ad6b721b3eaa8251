"""Compiling all loops that a run may need, on eight devices."""

from __future__ import annotations

from functools import cache

import numpy as np

from splitopt.solvers.cluster_and_spectrum.set_partition.closing import cheapest_partition
from splitopt.solvers.cluster_and_spectrum.set_partition.columns import Duals
from splitopt.solvers.cluster_and_spectrum.set_partition.pools import list_pool
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cluster_and_spectrum.set_partition.triples import PricedCuts
from splitopt.solvers.cluster_and_spectrum.swaps import eight_devices, load_swaps


@cache
def load_loops() -> None:
    """Call every loop once in this process, so that none is compiled while a clock runs."""
    problem = eight_devices()
    load_swaps()
    pricer = Pricer(problem)
    duals = Duals(np.zeros(8), {2: 0.0})
    pricer.price(duals.device, 2, 1e9, 10, 4)
    cheapest_partition(pricer, duals, 0.0, 1e3, 100, lambda: False)
    cuts = PricedCuts(duals.device, np.zeros((0, 3), dtype=np.int64), np.zeros(0))
    list_pool(pricer, cuts, {2: 1e3}, 100, lambda: False)
    problem.complete([[0, 1], [2, 3], [4, 5], [6, 7]])
