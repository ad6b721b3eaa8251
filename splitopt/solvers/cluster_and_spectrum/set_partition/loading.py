"""Compiling all loops that a run may need, on four devices."""

from __future__ import annotations

from functools import cache

import numpy as np

from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.solvers.cluster_and_spectrum.set_partition.closing import cheapest_partition
from splitopt.solvers.cluster_and_spectrum.set_partition.columns import Duals
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cluster_and_spectrum.swaps import Swaps, by_capability


@cache
def load_loops() -> None:
    """Call every loop once in this process, so that none is compiled while a clock runs."""
    seconds = np.arange(1.0, 5.0)
    problem = ClusterAndSpectrum(
        broadcast_s=seconds,
        forward_s=seconds,
        backward_s=seconds,
        upload_smashed_s=seconds,
        download_gradient_s=seconds,
        upload_model_s=seconds,
        server_s_per_device=0.0,
        local_epochs=1,
        subcarriers=4,
        cluster_sizes=np.array([2, 2]),
    )
    state = Swaps(problem, by_capability(problem))
    state.advance(np.random.default_rng(0), np.zeros(2))
    pricer = Pricer(problem)
    duals = Duals(np.zeros(4), {2: 0.0})
    pricer.price(duals.device, 2, 1e9, 10, 4)
    cheapest_partition(pricer, duals, 0.0, 1e3, 100, lambda: False)
    problem.complete([[0, 1], [2, 3]])
