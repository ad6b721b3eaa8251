"""A genetic algorithm over the choices of the devices as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_number, check_whole
from splitopt.solvers.cut_and_resources.cut_vectors import CutVectors, Evaluations
from splitopt.solvers.cut_and_resources.metaheuristic import Metaheuristic
from splitopt.solvers.options import MOST_AT_ONCE

_TRIES = 10
"""How often a generation is mated anew as long as its children are all known already."""


@dataclass(frozen=True)
class Genetic(Metaheuristic):
    """pymoo's genetic algorithm (Blank and Deb, 2020) with rounded real-coded operators.

    Parents win tournaments, simulated binary crossover and polynomial mutation make children,
    the best of old and new survive, and no vector is evaluated twice within a generation.

    Parameters
    ----------
    max_evaluations
        Stop after this many vectors of cuts.
    population
        Vectors that survive a generation, and children made in one; pymoo compares them in pairs.
    crossover_prob
        Probability of crossing two parents.
    crossover_eta, mutation_eta
        Distribution indices: the larger, the closer children stay to their parents.
    """

    name: ClassVar[str] = "genetic"
    requires: ClassVar[tuple[str, ...]] = ("pymoo",)

    population: int = 100
    crossover_prob: float = 1.0
    crossover_eta: float = 3.0
    mutation_eta: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("population", self.population, 2, MOST_AT_ONCE)
        check_number("crossover_prob", self.crossover_prob, 0, 1)
        check_number("crossover_eta", self.crossover_eta, 0.1, 1000)
        check_number("mutation_eta", self.mutation_eta, 0.1, 1000)

    def _explore(
        self, vectors: CutVectors, evaluate: Evaluations, rng: np.random.Generator
    ) -> None:
        from pymoo.algorithms.soo.nonconvex.ga import GA
        from pymoo.config import Config
        from pymoo.core.evaluator import Evaluator
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.problems.static import StaticProblem

        Config.warnings["not_compiled"] = False  # it would print a hint
        free = len(vectors.free)
        space = Problem(n_var=free, n_obj=1, xl=np.zeros(free), xu=vectors.counts - 1, vtype=int)
        rounding = {"vtype": float, "repair": RoundingRepair()}
        algorithm = GA(
            pop_size=self.population,
            sampling=vectors.draw(rng, self.population),
            crossover=SBX(prob=self.crossover_prob, eta=self.crossover_eta, **rounding),
            mutation=PM(prob=1.0, eta=self.mutation_eta, **rounding),
            eliminate_duplicates=True,
        )
        algorithm.mating.n_max_iterations = _TRIES
        algorithm.setup(space, termination=NoTermination(), seed=int(rng.integers(2**31)))
        # Nobody to evaluate is how the algorithm says that it finds nothing new.
        while (generation := algorithm.ask()) is not None:
            values = evaluate(vectors.cuts(generation.get("X").astype(np.int64)))
            Evaluator().eval(StaticProblem(space, F=values[:, None]), generation)
            algorithm.tell(infills=generation)
