"""Choosing among cuts on the same samples, without answering those that cannot win."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.solvers.cut_under_uncertainty.ledger import Ledger, Place


@dataclass(frozen=True, eq=False)
class Choice:
    """The best cut on some samples, and the values of the cuts that were answered on them."""

    cut: int
    values: dict[int, FloatArray]

    @property
    def best(self) -> FloatArray:
        """Values of the chosen cut, a number per sample."""
        return self.values[self.cut]


def choose(ledger: Ledger, places: Sequence[Place]) -> Choice:
    """Find the cut with the smallest statistic on samples.

    Cuts are tried in the order of their cheap bounds' statistic; one whose bounds already cost as
    much as the best so far cannot win and is not answered. Ties go to the cut found first.
    """
    statistic = ledger.problem.statistic
    floors = statistic(ledger.bounds(places))
    values: dict[int, FloatArray] = {}
    best, least = -1, np.inf
    for cut in np.argsort(floors, kind="stable").tolist():
        if floors[cut] >= least:
            break
        values[cut] = ledger.answer(cut, places)
        if (value := float(statistic(values[cut]))) < least:
            best, least = cut, value
    return Choice(best, values)


def replicated_gaps(
    ledger: Ledger, cut: int, groups: Sequence[Sequence[Place]], upper: FloatArray
) -> FloatArray:
    """Shape (R,): what a cut costs above the best cut, in each group of samples.

    Parameters
    ----------
    cut
        The one that was chosen on other samples.
    groups
        R groups of samples.
    upper
        Shape (R,): the chosen cut's value in each group, unbiased or from above.
    """
    statistic = ledger.problem.statistic
    floors = np.stack([statistic(ledger.bounds(group)) for group in groups], axis=1)
    own = [statistic(ledger.answer(cut, group)) for group in groups]
    least = np.array(own, dtype=np.float64)
    for other in np.argsort(floors.mean(axis=1), kind="stable").tolist():
        open_groups = [r for r in range(len(groups)) if floors[other, r] < least[r]]
        if other == cut or not open_groups:
            continue
        ledger.answer(other, [place for r in open_groups for place in groups[r]])
        for r in open_groups:
            least[r] = min(least[r], float(statistic(ledger.answer(other, groups[r]))))
    return upper - least
