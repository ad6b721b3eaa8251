"""A lower bound on the round of `ClusterAndSpectrum` that costs a sort."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum.data import ClusterAndSpectrumData


def cheap_bound(problem: ClusterAndSpectrumData) -> float:
    """Add up `phase_bound` of the three phases and the server's work, which no decision changes."""
    if problem.infeasibility() is not None:
        return float(np.inf)
    count = (1, problem.inner_phases, 1)
    total = sum(
        times * phase_bound(fixed, spectral, problem.cluster_sizes, problem.subcarriers)
        for times, fixed, spectral in zip(
            count, problem.terms[:, 0::2].T, problem.terms[:, 1::2].T, strict=True
        )
        if times
    )
    server = problem.local_epochs * problem.devices * problem.server_s_per_device
    return float(np.sum(total) + server)


def phase_bound(
    fixed: FloatArray, spectral: FloatArray, sizes: IntArray, subcarriers: int
) -> FloatArray:
    """Return a lower bound on the lengths of one phase, added up over the clusters.

    The seconds have shape (..., N); the answer has what stands before the devices.

    The larger of two. First, in a cluster of K devices nobody has more than C - K + 1 subcarriers,
    so that each device has a shortest time; the sum of the clusters' largest times is smallest
    when the slowest devices fill the largest cluster, the next ones the next, and so on. Second,
    T x_k >= fixed_k x_k + spectral_k for each member: added up over a cluster that is
    T >= min fixed + sum spectral / C, and the clusters' least fixed times are different devices'.
    """
    most = subcarriers - int(sizes.min()) + 1
    slowest_first = np.sort(fixed + spectral / most, axis=-1)[..., ::-1]
    heads = np.concatenate(([0], np.cumsum(np.sort(sizes)[::-1])[:-1]))
    alone = slowest_first[..., heads].sum(axis=-1)
    least = np.sort(fixed, axis=-1)[..., : len(sizes)].sum(axis=-1)
    return np.asarray(np.maximum(alone, least + spectral.sum(axis=-1) / subcarriers))
