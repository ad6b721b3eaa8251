"""Rounds of many samples at once: given decisions, thousands of measured or drawn rounds.

The same functions serve NumPy and JAX (CPU, or whatever JAX's default device is); JAX compiles one
call for all samples of a shape, in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.latency.clustered import cluster_seconds
from splitopt.latency.precision import double_precision

FloatArray = npt.NDArray[np.float64]


def sampled_round_seconds(
    terms: Any, x: Any, clusters: Any, sizes: Any, server: Any, local_epochs: int, xp: Any = np
) -> Any:
    """Shape (J,): seconds of the round in every sample (CPSL Eq. 25).

    Parameters
    ----------
    terms
        Shape (J, N, 6), see `splitopt.latency.clustered.phase_terms`.
    x
        Shape (J, N) or (N,): subcarriers, of each sample or the same in all.
    clusters
        Shape (J, M, K) or (M, K): device indices, see `padded_clusters`.
    sizes
        Shape (M,): devices in each cluster.
    server
        Shape (J,) or a number: the server's seconds for one device.
    """
    leading = terms.shape[:-2]
    shared = xp.broadcast_to(xp.asarray(x), terms.shape[:-1])
    work = xp.broadcast_to(xp.asarray(server), leading)
    return cluster_seconds(terms, shared, clusters, sizes, work, local_epochs, xp).sum(axis=-1)


def compiled_rounds(local_epochs: int) -> Callable[..., FloatArray]:
    """Give `sampled_round_seconds` compiled by JAX; it takes and gives NumPy arrays in float64.

    Arrays that already are on JAX's device are not copied there again.
    """
    import jax
    import jax.numpy as jnp

    @jax.jit
    def call(terms: Any, x: Any, clusters: Any, sizes: Any, server: Any) -> Any:
        return sampled_round_seconds(terms, x, clusters, sizes, server, local_epochs, jnp)

    def evaluate(terms: Any, x: Any, clusters: Any, sizes: Any, server: Any) -> FloatArray:
        with double_precision():
            return np.asarray(call(terms, x, clusters, sizes, server))

    return evaluate
