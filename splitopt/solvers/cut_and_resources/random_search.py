"""Random vectors of cuts: what every other search has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.solvers.cut_and_resources.cut_vectors import CutVectors, Evaluations
from splitopt.solvers.cut_and_resources.metaheuristic import Metaheuristic

_CHOICES_AT_ONCE = 2**16


@dataclass(frozen=True)
class RandomSearch(Metaheuristic):
    """Draw every device's cut independently, all its allowed cuts equally likely.

    Parameters
    ----------
    max_evaluations
        Stop after this many vectors of cuts.
    """

    name: ClassVar[str] = "random_search"

    def _explore(
        self, vectors: CutVectors, evaluate: Evaluations, rng: np.random.Generator
    ) -> None:
        batch = min(self.max_evaluations, max(1, _CHOICES_AT_ONCE // len(vectors.table)))
        while True:
            evaluate(vectors.cuts(vectors.draw(rng, batch)))
