"""Planning without a model of rounds: the shortest round, whatever the training makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from splitopt.problems.time_to_accuracy import TimeToAccuracy
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.time_to_accuracy.exact import Exact


def with_one_round(problem: TimeToAccuracy) -> TimeToAccuracy:
    """Return the problem in which every plan takes one round."""
    return replace(problem, rounds={"table": np.ones_like(problem.rounds_by_choice)})


@dataclass(frozen=True)
class NoModel(Solver[TimeToAccuracy]):
    """Treats the rounds as a constant, so that the shortest round is the best plan.

    The plan is then valued by the problem's own rounds.
    """

    name: ClassVar[str] = "no_model"
    problem: ClassVar[str] = "time_to_accuracy"
    objectives: ClassVar[frozenset[str]] = frozenset(TimeToAccuracy.objectives)
    kind: ClassVar[Kind] = "rule"
    partial: ClassVar[bool] = True

    def load(self, problem: TimeToAccuracy) -> None:
        """Compile the loop of the exact solver."""
        Exact().load(problem)

    def run(self, problem: TimeToAccuracy, search: Search) -> StopReason:
        """Propose the plan of the shortest round."""
        blind = with_one_round(problem)
        inner = Search(blind, search.time_limit_s, search.rel_gap, search.seed)
        ended = Exact().run(blind, inner)
        search.iterations += inner.iterations
        if inner.best is None:
            return ended
        if not np.isfinite(search.propose(inner.best)):
            search.message = "the plan with the shortest round does not reach the target"
        return "time" if ended == "time" else "converged"
