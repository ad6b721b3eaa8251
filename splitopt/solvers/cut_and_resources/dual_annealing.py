"""Dual annealing over the unit cube, in which every device's cuts are equal slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_number
from splitopt.problems.base import FloatArray
from splitopt.solvers.cut_and_resources.cut_vectors import CutVectors, Evaluations
from splitopt.solvers.cut_and_resources.metaheuristic import Metaheuristic


@dataclass(frozen=True)
class DualAnnealing(Metaheuristic):
    """SciPy's dual annealing (Xiang et al., 1997), without local search.

    The local search follows gradients, which are zero here: the objective is a staircase. The
    energy is the objective relative to a random vector of cuts, so that the unit of time does not
    matter.

    Parameters
    ----------
    max_evaluations
        Stop after this many vectors of cuts.
    initial_temp
        Temperature at the beginning and after every restart.
    restart_temp_ratio
        Restart as soon as the temperature is below this part of the initial one.
    accept
        Parameter of the acceptance probability; the lower, the fewer worse points are accepted.
    """

    name: ClassVar[str] = "dual_annealing"
    requires: ClassVar[tuple[str, ...]] = ("scipy",)

    initial_temp: float = 5230.0
    restart_temp_ratio: float = 2e-5
    accept: float = -5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("initial_temp", self.initial_temp, 0.01, 5e4)
        check_number("restart_temp_ratio", self.restart_temp_ratio, 1e-12, 0.999)
        check_number("accept", self.accept, -1e4, -5)

    def _explore(
        self, vectors: CutVectors, evaluate: Evaluations, rng: np.random.Generator
    ) -> None:
        from scipy.optimize import dual_annealing

        scale = evaluate.best or 1.0

        def energy(point: FloatArray) -> float:
            return float(evaluate(vectors.cuts(vectors.nearest(point[None])))[0]) / scale

        # Its heavy-tailed steps may overflow; it cuts them off itself.
        with np.errstate(all="ignore"):
            dual_annealing(
                energy,
                [(0.0, 1.0)] * len(vectors.free),
                maxiter=self.max_evaluations,
                maxfun=self.max_evaluations + 1,
                initial_temp=self.initial_temp,
                restart_temp_ratio=self.restart_temp_ratio,
                accept=self.accept,
                no_local_search=True,
                rng=rng,
                x0=None if vectors.first is None else vectors.draw_points(rng, 1)[0],
            )
