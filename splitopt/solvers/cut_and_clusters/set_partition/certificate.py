"""Bounds of `CutAndClusters` that anyone can check: a price per device, or one for each cut."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.problems.cut_and_clusters import CutAndClusters
from splitopt.solvers.cluster_and_spectrum.set_partition.certificate import bound_at, read_prices
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cut_and_clusters.set_partition.pricing import CutPricer


def certified_bound(
    problem: CutAndClusters,
    prices: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    method: Literal["search", "list"] = "search",
) -> float:
    """Return the lower bound on a round that prices certify, whoever proposes them.

    Parameters
    ----------
    prices
        In s, any sign: shape (N,) where every cluster has its own cut, and a mapping from the name
        of each cut that all devices may take to such prices where the cut is common; for example
        ``result.details["prices"]``. A cut that is missing there has its cheap bound.
    method
        As of `splitopt.solvers.cluster_and_spectrum.set_partition.certified_bound`.

    Raises
    ------
    InputError
        The prices do not fit the problem, or there are too many clusters to list.
    """
    if problem.cut_per_cluster:
        if isinstance(prices, Mapping):
            raise InputError.at("prices", "are by cut, and clusters have their own; give one list")
        y = read_prices(problem.devices, prices)
        if problem.infeasibility() is not None:
            return math.inf
        return bound_at(CutPricer(problem), y, method)
    if not isinstance(prices, Mapping):
        raise InputError.at("prices", "must be a mapping from the name of each cut to its prices")
    for name in prices:
        if name not in problem.cuts:
            known = ", ".join(problem.cuts)
            raise InputError.at("prices", f"name the cut {name!r}; the cuts are {known}")
    if problem.infeasibility() is not None:
        return math.inf
    found = []
    for cut in problem.common:
        one, name = problem.at_cut(int(cut)), problem.cuts[cut]
        found.append(one.bound())
        if name in prices:
            y = read_prices(problem.devices, prices[name])
            found[-1] = max(found[-1], bound_at(Pricer(one), y, method))
    return min(found)
