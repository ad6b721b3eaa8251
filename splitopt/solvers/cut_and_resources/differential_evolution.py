"""Differential evolution over the unit cube, in which every device's cuts are equal slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from splitopt.documents.checks import check_choice, check_number, check_whole
from splitopt.errors import InputError
from splitopt.problems.base import FloatArray
from splitopt.solvers.cut_and_resources.cut_vectors import CutVectors, Evaluations
from splitopt.solvers.cut_and_resources.metaheuristic import Metaheuristic
from splitopt.solvers.options import MOST_AT_ONCE

STRATEGIES = tuple(
    f"{base}{crossover}"
    for base in ("best1", "best2", "rand1", "rand2", "randtobest1", "currenttobest1")
    for crossover in ("bin", "exp")
)
"""How a new point is made of old ones, in SciPy's names."""

_SMALLEST_POPULATION = 6
"""The strategy rand2 combines five points other than the one that it replaces."""

_LARGEST_MUTATION = 1.99
"""SciPy refuses 2 and more."""


@dataclass(frozen=True)
class DifferentialEvolution(Metaheuristic):
    """SciPy's differential evolution (Storn and Price, 1997).

    Parameters
    ----------
    max_evaluations
        Stop after this many vectors of cuts.
    population
        Points per generation.
    strategy
        How a new point is made of old ones, one of `STRATEGIES`.
    mutation
        Interval from which every generation draws the weight of the differences.
    recombination
        Probability of taking a coordinate from the new point.
    tolerance
        Converged when the standard deviation of the values is at most this part of their mean.
    """

    name: ClassVar[str] = "differential_evolution"
    requires: ClassVar[tuple[str, ...]] = ("scipy",)

    population: int = 100
    strategy: str = "best1bin"
    mutation: tuple[float, float] = (0.5, 1.0)
    recombination: float = 0.7
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("population", self.population, _SMALLEST_POPULATION, MOST_AT_ONCE)
        check_choice("strategy", self.strategy, STRATEGIES)
        if not isinstance(self.mutation, list | tuple) or len(self.mutation) != 2:
            raise InputError.at("mutation", f"is {self.mutation!r}, it must be two numbers")
        object.__setattr__(self, "mutation", tuple(self.mutation))
        for weight in self.mutation:
            check_number("mutation", weight, 0, _LARGEST_MUTATION)
        check_number("recombination", self.recombination, 0, 1)
        check_number("tolerance", self.tolerance, 0, 1)

    def _explore(
        self, vectors: CutVectors, evaluate: Evaluations, rng: np.random.Generator
    ) -> None:
        from scipy.optimize import Bounds, differential_evolution

        def values(points: FloatArray) -> FloatArray:
            return evaluate(vectors.cuts(vectors.nearest(points.T)))

        free = len(vectors.free)
        objective: Any = values  # the type stubs know no vectorised objective
        strategy: Any = self.strategy  # nor a name that is not a literal
        differential_evolution(
            objective,
            Bounds(np.zeros(free), np.ones(free)),
            maxiter=self.max_evaluations,
            init=vectors.draw_points(rng, self.population),
            strategy=strategy,
            mutation=self.mutation,
            recombination=self.recombination,
            tol=self.tolerance,
            rng=rng,
            polish=False,
            updating="deferred",
            vectorized=True,
        )
