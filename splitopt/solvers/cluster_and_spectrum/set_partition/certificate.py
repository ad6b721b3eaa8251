"""A bound that anyone can check: a price per device is all that it takes.

For any prices y, every partition into M_K clusters of size K takes at least

    sum_n y_n + sum_K M_K min { seconds(A) - sum_{n in A} y_n : |A| = K }.

The function here knows nothing of how the prices were found. It computes the minimum anew.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.problems.arrays import number_table
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer

_MOST_LISTED = 10_000_000
_CHUNK = 65_536


def certified_bound(
    problem: ClusterAndSpectrum,
    prices: npt.ArrayLike,
    method: Literal["search", "list"] = "search",
) -> float:
    """Return the lower bound on a round that prices certify, whoever proposes them.

    Parameters
    ----------
    prices
        Shape (N,), in s, any sign: for example ``result.details["prices"]``.
    method
        ``"search"`` finds the least reduced cost by branch and bound over cells, to the end;
        ``"list"`` goes through all clusters one by one, which shares no code with that search and
        is for small problems.

    Raises
    ------
    InputError
        The prices do not fit the problem, or there are too many clusters to list.
    """
    y = read_prices(problem.devices, prices)
    return math.inf if problem.infeasibility() is not None else bound_at(Pricer(problem), y, method)


def bound_at(pricer: Pricer, y: FloatArray, method: str) -> float:
    """Compute the bound that prices prove of what a pricer prices, see `certified_bound`."""
    if method == "list":
        least = {size: _least_listed(pricer, y, size) for size in pricer.count_of}
    elif method == "search":
        least = {size: pricer.price(y, size).bound for size in pricer.count_of}
    else:
        raise InputError.at("method", f"is {method!r}, it must be 'search' or 'list'")
    return pricer.lagrangian(y, least)


def read_prices(devices: int, prices: npt.ArrayLike) -> FloatArray:
    """Check prices of the devices, which may be of any sign."""
    shifted = np.asarray(prices, dtype=np.float64)
    number_table(np.abs(shifted), "prices", "seconds", (devices,))
    return shifted


def _least_listed(pricer: Pricer, prices: FloatArray, size: int) -> float:
    """Go through all clusters of a size."""
    devices = pricer.problem.devices
    if (count := math.comb(devices, size)) > _MOST_LISTED:
        raise InputError.at(
            "method", f"is 'list', which would list {count:,} clusters; take 'search'"
        )
    every = itertools.combinations(range(devices), size)
    least = math.inf
    while chunk := list(itertools.islice(every, _CHUNK)):
        clusters: IntArray = np.array(chunk, dtype=np.int64)
        reduced = pricer.seconds(clusters) - prices[clusters].sum(axis=1)
        least = min(least, float(reduced.min()))
    return least
