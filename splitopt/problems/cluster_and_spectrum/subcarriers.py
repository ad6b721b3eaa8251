"""Sharing a cluster's subcarriers, compiled: one cluster, a batch of thousands, three rules.

``exact`` is optimal for any number of local epochs; ``greedy`` is CPSL's Alg. 3 as printed, which
gives every spare subcarrier to the first device where several hold up a phase together;
``tie_safe`` raises all tied devices at once. An own numba loop calls `loops.allocate` directly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum.data import ClusterAndSpectrumData
from splitopt.problems.cluster_and_spectrum.decision import (
    ClusterAndSpectrumDecision,
    read_clusters,
)
from splitopt.problems.compiling import plain

RULES = {"greedy": 0, "tie_safe": 1, "exact": None}
"""Names of the rules and what `loops` has for them."""


class Allocation(NamedTuple):
    """Seconds of clusters, shape (M,), and subcarriers of their members, cluster after cluster."""

    seconds: FloatArray
    subcarriers: IntArray


def allocate_cluster(
    problem: ClusterAndSpectrumData, cluster: npt.ArrayLike, rule: str = "exact"
) -> tuple[float, IntArray]:
    """Return the seconds of one cluster (device indices, shape (K,)) and the subcarriers (K,).

    The seconds are those of `ClusterAndSpectrum.evaluate` for this cluster, to the last bit.
    """
    found = allocate_clusters(problem, (np.asarray(cluster, dtype=np.int64),), rule)
    return float(found.seconds[0]), found.subcarriers


def allocate_clusters(
    problem: ClusterAndSpectrumData, clusters: Sequence[npt.ArrayLike], rule: str = "exact"
) -> Allocation:
    """Compute `allocate_cluster` for any clusters; they may overlap and differ in size."""
    arrays = [np.asarray(cluster, dtype=np.int64) for cluster in clusters]
    starts = np.concatenate(([0], np.cumsum([len(array) for array in arrays]))).astype(np.int64)
    members = np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int64)
    return allocate_flat(
        problem.terms,
        members,
        starts,
        subcarriers=problem.subcarriers,
        local_epochs=problem.local_epochs,
        server_s_per_device=problem.server_s_per_device,
        rule=rule,
        small=problem.is_small,
    )


def complete_clusters(
    problem: ClusterAndSpectrumData, clusters: Iterable[npt.ArrayLike], rule: str = "exact"
) -> ClusterAndSpectrumDecision:
    """Return the decision that `ClusterAndSpectrum.complete` describes."""
    taken = read_clusters(clusters, "clusters")
    members = np.concatenate(taken) if taken else np.empty(0, dtype=np.int64)
    if not np.array_equal(np.sort(members), np.arange(problem.devices)):
        raise InputError.at("clusters", f"must hold each of 0..{problem.devices - 1} once")
    x = np.empty(problem.devices, dtype=np.int64)
    x[members] = allocate_clusters(problem, taken, rule).subcarriers
    return ClusterAndSpectrumDecision(taken, x)


def allocate_flat(
    terms: FloatArray,
    members: IntArray,
    starts: IntArray,
    *,
    subcarriers: int,
    local_epochs: int,
    server_s_per_device: float,
    rule: str = "exact",
    small: bool = False,
) -> Allocation:
    """Share subcarriers in a batch of clusters that stand in two flat arrays.

    Parameters
    ----------
    terms
        Shape (N, 6), see `ClusterAndSpectrum.terms`; rows of several problems may be stacked.
    members
        Rows of `terms`, cluster after cluster.
    starts
        Shape (M + 1,): where each cluster begins in `members`, and the end.
    subcarriers, local_epochs, server_s_per_device
        As in `ClusterAndSpectrum`, the same for all clusters.
    rule
        One of `RULES`.
    small
        Whether Python does it, with the same numbers, as there is little to do.

    Raises
    ------
    InputError
        An unknown rule, an empty cluster, or a member outside `terms`.
    InfeasibleError
        A cluster has more devices than there are subcarriers.
    """
    from splitopt.problems.cluster_and_spectrum import loops

    if rule not in RULES:
        raise InputError.at("rule", f"is {rule!r}, it must be one of {', '.join(RULES)}")
    sizes = np.diff(starts)
    if len(sizes) and sizes.min() < 1:
        raise InputError.at("clusters", "a cluster has no device")
    if len(sizes) and sizes.max() > subcarriers:
        raise InfeasibleError(
            f"a cluster of {sizes.max()} devices needs at least {sizes.max()} subcarriers, "
            f"and there are {subcarriers}"
        )
    if len(members) and (members.min() < 0 or members.max() >= len(terms)):
        raise InputError.at("clusters", f"device indices must be from 0 to {len(terms) - 1}")
    x = np.empty(len(members), dtype=np.int64)
    seconds = np.empty(len(sizes))
    allocate = plain(loops.allocate_batch) if small else loops.allocate_batch
    allocate(
        loops.Sharing(RULES[rule], subcarriers, local_epochs - 1, float(server_s_per_device)),
        np.ascontiguousarray(terms),
        np.ascontiguousarray(members),
        np.ascontiguousarray(starts),
        x,
        seconds,
    )
    return Allocation(seconds, x)
