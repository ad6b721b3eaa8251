"""What it is worth to model uncertainty, and what it would be worth to know the future."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.solvers.cut_under_uncertainty.ledger import Ledger


def value_of_uncertainty(ledger: Ledger, cut: int) -> dict[str, Any]:
    """Give VSS and EVPI of the sampled problem, in s, with the answers of the inner solver.

    The value of the stochastic solution is what the cut of the averaged round costs more than
    `cut`: how much is lost by planning with mean values. The expected value of perfect information
    is what `cut` costs more than choosing the best cut in every single sample: how much a forecast
    could gain at most (Birge and Louveaux, chapter 4).

    Parameters
    ----------
    ledger
        With `cut` answered in all samples.
    cut
        The cut of the stochastic solution.

    Returns
    -------
    dict
        ``vss_s``, ``mean_value_cut``, ``evpi_s``, and ``wait_and_see_s``, the objective when the
        best cut is known in every sample.
    """
    problem = ledger.problem
    places = [(0, j) for j in range(problem.samples)]
    own = float(problem.statistic(ledger.answer(cut, places)))
    averaged = [ledger.averaged(v) for v in range(len(problem.cuts))]
    naive = int(np.argmin(averaged))
    naive_value = float(problem.statistic(ledger.answer(naive, places)))
    floors, least = ledger.bounds(places), ledger.answer(cut, places).copy()
    for other in range(len(problem.cuts)):
        asked = [j for j in range(problem.samples) if floors[other, j] < least[j]]
        if other == cut or not asked:
            continue
        least[asked] = np.minimum(least[asked], ledger.answer(other, [(0, j) for j in asked]))
    seen = float(problem.statistic(least))
    return {
        "vss_s": naive_value - own,
        "mean_value_cut": problem.cuts[naive],
        "evpi_s": own - seen,
        "wait_and_see_s": seen,
    }
