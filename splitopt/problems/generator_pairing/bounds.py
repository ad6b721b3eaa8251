"""A lower bound of `GeneratorPairing` that needs no search."""

from __future__ import annotations

import math

import numpy as np

from splitopt.problems.generator_pairing.data import GeneratorPairingData


def cheap_bound(problem: GeneratorPairingData) -> float:
    """Bound the costs of every device by prices of its classes; ``-inf`` if one is not covered.

    A class is worth the least share of a sender's cost that falls on it if the cost is shared
    evenly among the missing classes that its generator covers. No sender is worth more than it
    costs then, so that the prices, each as often as senders are needed, are a solution of the
    linear relaxation's dual. A class also costs at least what its cheapest senders do. What the
    best qualities cost comes on top. Caps only add to it.
    """
    total, covers, penalty = [0.0], problem.covers, problem.penalty
    for i in range(problem.devices):
        missing = np.flatnonzero(problem.need[i])
        if not missing.size:
            continue
        need = problem.need[i, missing]
        useful = covers[:, missing].copy()
        useful[i] = False
        if (useful.sum(axis=0) < need).any():
            return -math.inf
        count = useful.sum(axis=1)
        share = problem.cost[i] / np.maximum(count, 1)
        prices = np.where(useful, share[:, None], np.inf).min(axis=0)
        apart = np.sort(np.where(useful, problem.cost[i][:, None], np.inf), axis=0)
        singles = [math.fsum(apart[:n, k]) for k, n in enumerate(need)]
        total.append(max(math.fsum(prices * need), *singles))
        if penalty is not None:
            lack = np.sort(np.where(useful, penalty[:, missing], np.inf), axis=0)
            total.append(math.fsum(math.fsum(lack[:n, k]) for k, n in enumerate(need)))
    return math.fsum(total) * (1 - 1e-14)  # the shares are rounded
