"""Robust questions as nominal ones: what is slow for sure, and who may be left out as a choice.

A device that a quorum leaves out is one that makes a choice of its own: no work, no seconds, and
one of at most N - Q such choices, which is a budget. So every nominal question that follows from a
robust one is solved, and bounded, by the solver of nominal questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.problem import (
    ChoicesAndResources,
    RobustCutAndResources,
)
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.cut_and_resources.relaxation import root_bound

LEFT_OUT = "devices left out"
"""The budget of a quorum."""
Run = Callable[[CutAndResources, Search], StopReason]


class Answer(NamedTuple):
    """What is known of a nominal question: a bound, and cuts and served devices of a plan."""

    bound: float
    cuts: IntArray | None = None
    served: BoolArray | None = None


@dataclass
class Nominal:
    """Nominal questions with the devices of a robust one, each asked once.

    Parameters
    ----------
    problem, search, run
        The robust question, its run, and the solver of nominal questions.
    part
        The part of the gap that is aimed for that each nominal question may leave.
    asked
        How many were asked.
    """

    problem: RobustCutAndResources
    search: Search
    run: Run
    part: float = 0.25
    asked: int = 0
    _known: dict[bytes, Answer] = field(default_factory=dict)

    def question(
        self, work: FloatArray, own: FloatArray, options: BoolArray, waited: int
    ) -> tuple[ChoicesAndResources, float]:
        """Return the question of these seconds, and what to subtract from its values.

        Own seconds (N, L) may be negative: each device's are raised by what makes them none.
        """
        allowed, out = options[:, :-1], options[:, -1:]
        problem, size = self.problem, self.problem.devices
        budgets = problem.budgets
        listed = [] if budgets is None else budgets.expanded().data()
        raised = np.maximum(0.0, -np.where(allowed, own, 0.0).min(axis=1))
        own = np.maximum(own + raised[:, None], 0.0)
        if waited < size:
            work = np.concatenate((work, np.zeros((size, 1, work.shape[2]))), axis=1)
            own = np.column_stack((own, raised))
            allowed = np.column_stack((allowed, out))
            for budget in listed:
                budget["use"] = np.column_stack((budget["use"], np.zeros(size)))
            left = np.zeros(allowed.shape)
            left[:, -1] = 1.0
            listed.append({"name": LEFT_OUT, "use": left, "limit": size - waited})
        asked = ChoicesAndResources(
            work, own, problem.objective, allowed=allowed, budgets=listed or None
        )
        return asked, float(raised.sum())

    def options(self) -> BoolArray:
        """Shape (N, L + 1): the allowed cuts, and in the last column who may be left out."""
        problem = self.problem
        out = np.full((problem.devices, 1), problem.waited < problem.devices)
        return np.hstack((problem.allowed, out))

    def root(self, work: FloatArray, own: FloatArray, options: BoolArray, waited: int) -> float:
        """Return the bound of the relaxation, infinite where nothing is feasible."""
        asked, raised = self.question(work, own, options, waited)
        return root_bound(asked) - raised

    def solve(
        self,
        work: FloatArray,
        own: FloatArray,
        options: BoolArray,
        waited: int,
        enough: float = math.inf,
    ) -> Answer:
        """Solve a question as far as the time allows; an infinite bound where it has no answer.

        It ends as soon as its bound is `enough` as well.
        """
        parts = (work.tobytes(), own.tobytes(), options.tobytes(), str(waited).encode())
        key = sha256(b"".join(parts)).digest()
        if key in self._known:
            return self._known[key]
        asked, raised = self.question(work, own, options, waited)
        search = self.search
        limit = None if math.isinf(search.remaining_s) else search.remaining_s
        inner = Search(
            asked,
            limit,
            search.rel_gap * self.part,
            search.seed,
            lambda progress: progress.bound - raised >= enough,
        )
        self.asked += 1
        try:
            self.run(asked, inner)
        except InfeasibleError:
            answer = Answer(math.inf)
        else:
            answer = self._answer(inner, raised)
        search.iterations += inner.iterations
        if search.remaining_s > 0:  # what was cut short is not known for good
            self._known[key] = answer
        return answer

    def _answer(self, inner: Search, raised: float) -> Answer:
        bound = min(inner.bound, inner.objective) - raised
        if inner.best is None:
            return Answer(bound)
        cuts = np.asarray(inner.best.cut)  # type: ignore[attr-defined]
        served = cuts <= self.problem.layers
        return Answer(
            bound, np.where(served, cuts, self.problem.allowed.argmax(axis=1) + 1), served
        )

    def offer(self, answer: Answer) -> None:
        """Propose the plan of an answer with the shares that are best for it."""
        if answer.cuts is not None:
            self.search.propose(self.problem.complete(answer.cuts, answer.served))


def slowed_tables(
    problem: RobustCutAndResources, part: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return work (N, L, R) and own seconds (N, L) of devices slow as far as `part` (N,) says."""
    tables = problem.tables
    factor = 1 + (tables.stretch * part)[:, None] * tables.linked
    return tables.work * factor[:, None], tables.own + part[:, None] * tables.more
