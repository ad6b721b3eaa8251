"""Rounds of a problem for the procedures: bounds in blocks, answers from the ledger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty, Generator
from splitopt.problems.cut_under_uncertainty.blocks import Blocks, FixedPlan, fixed_plan
from splitopt.problems.cut_under_uncertainty.problem import clusters_by_latency
from splitopt.solvers.cut_under_uncertainty.answering.ledger import FINITE, SAMPLES, Ledger, Piece
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Cheap, Request

_DRAWN = 2**23
"""Streams of answers from here on are of rounds that are drawn in blocks."""

_AT_ONCE = 250_000
"""Devices x cuts x rounds whose bounds are computed together: memory, not the result."""


class DrawnRounds:
    """Rounds of a problem's generator, which `Rounds` describes.

    Every cut has one fixed plan, the best subcarriers for devices of similar latency in the round
    of mean values. What it takes is the upper bound on a round; no answer is worse.
    """

    def __init__(self, problem: CutUnderUncertainty, ledger: Ledger):
        self.problem, self._ledger = problem, ledger
        self.cuts = len(problem.cuts)
        self._plan = _start(problem, ledger)

    @property
    def _source(self) -> Generator:
        assert isinstance(self.problem.source, Generator)
        return self.problem.source

    def least(self) -> FloatArray:
        """Shape (V,): the lower bounds with every device at its best, in s."""
        return self._source.ends()[0].bounds()

    def most(self) -> FloatArray:
        """Shape (V,): the upper bounds with every device at its worst, in s."""
        return self._source.ends()[1].seconds(self._plan)

    def draw(self, stream: int, count: int, cut: int | None = None) -> Cheap:
        """Draw a block with one generator and compute its bounds."""
        drawn = self._source.draw_many(stream, count)
        lower, upper = _bounds(self._source, drawn, self._plan, self._ledger, cut)
        return Cheap(_DRAWN + stream, lower, upper, drawn)

    def answer(self, requests: Sequence[Request]) -> list[FloatArray]:
        """Have rounds answered by the inner solver."""
        return _answer(self._source, requests, self._ledger)


class FiniteRounds:
    """All rounds of a finite source: listed samples, a trace, or combinations of few values."""

    def __init__(
        self, problem: CutUnderUncertainty, ledger: Ledger, listed: dict[str, FloatArray] | None
    ):
        self.problem, self._ledger = problem, ledger
        self.cuts = len(problem.cuts)
        self._plan = _start(problem, ledger)
        if listed is None:
            samples = [problem.source.sample(j) for j in range(problem.samples)]
            self._blocks = Blocks.stack(samples)
            upper = self._blocks.seconds(self._plan).T
            self.all = Cheap(SAMPLES, self._blocks.bounds().T, upper)
        else:
            assert isinstance(problem.source, Generator)
            lower, upper = _bounds(problem.source, listed, self._plan, ledger)
            self.all = Cheap(FINITE, lower, upper, listed)

    def least(self) -> FloatArray:
        """Shape (V,): the smallest lower bound, in s."""
        return np.asarray(self.all.lower.min(axis=1))

    def most(self) -> FloatArray:
        """Shape (V,): the largest upper bound, in s."""
        return np.asarray(self.all.upper.max(axis=1))

    def draw(self, stream: int, count: int, cut: int | None = None) -> Cheap:
        """Raise RuntimeError: there is nothing to draw."""
        raise RuntimeError(f"all rounds are there, none is drawn ({stream}, {count}, {cut})")

    def answer(self, requests: Sequence[Request]) -> list[FloatArray]:
        """Have rounds answered by the inner solver."""
        if self.all.drawn is not None:
            assert isinstance(self.problem.source, Generator)
            return _answer(self.problem.source, requests, self._ledger)
        pieces = [self._ledger.samples_of(r.cut, r.rows.tolist()) for r in requests]
        return self._ledger.answer_all(pieces)


def _start(problem: CutUnderUncertainty, ledger: Ledger) -> FixedPlan:
    """Make the fixed plans, and have no answer be worse."""
    decisions = []
    for cut in range(len(problem.cuts)):
        block = problem.expected_block(cut)
        decisions.append(block.complete(clusters_by_latency(block)))
    ledger.starts = decisions
    return fixed_plan(decisions)


def _bounds(
    source: Generator,
    drawn: dict[str, FloatArray],
    plan: FixedPlan,
    ledger: Ledger,
    cut: int | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Shape (V, n) each, or (1, n) of one cut: bounds on drawn rounds, some at a time."""
    count = len(next(iter(drawn.values())))
    cuts, devices = source.nominal.times["forward_s"].shape
    if cut is not None:
        cuts, source = 1, source.of_cut(cut)
        own = slice(cut, cut + 1)
        plan = FixedPlan(plan.subcarriers[own], plan.clusters[own], plan.sizes)
    step = max(1, _AT_ONCE // (cuts * devices))
    lower, upper = [], []
    for first in range(0, count, step):
        ledger.check()
        part = source.at(**{name: table[first : first + step] for name, table in drawn.items()})
        low = part.bounds()
        lower.append(low)
        # Rounding may put a bound that is reached a little above a plan that reaches it.
        upper.append(np.maximum(part.seconds(plan), low))
    return np.concatenate(lower).T, np.concatenate(upper).T


def _answer(source: Generator, requests: Sequence[Request], ledger: Ledger) -> list[FloatArray]:
    pieces = []
    for request in requests:

        def blocks(numbers: Sequence[int], request: Request = request) -> Blocks:
            rows = np.asarray(numbers)
            drawn = {name: table[rows] for name, table in request.cheap.drawn.items()}
            return source.at(**drawn)[:, request.cut]

        pieces.append(Piece(request.cut, request.cheap.stream, request.rows.tolist(), blocks))
    return ledger.answer_all(pieces)
