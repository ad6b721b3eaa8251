"""Which samples were answered under which cut, and getting the missing ones answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from splitopt.engine import Session
from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty, Generator
from splitopt.problems.cut_under_uncertainty.blocks import Blocks
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.cut_under_uncertainty.answering.checkpoint import Checkpoint
from splitopt.solvers.cut_under_uncertainty.answering.inner import (
    Batch,
    BatchResult,
    Inner,
    Solved,
    solve_batch,
)

BATCH = 4
"""Samples in one piece of work; it does not depend on the workers, and changes no answer."""

AVERAGED = 2**31
"""The number that the averaged round has in place of a stream."""

SAMPLES, FINITE = 0, 2**22
"""The streams of the problem's samples, and of all rounds of a trace or of few combinations."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Rounds of one stream that are wanted under one cut.

    Parameters
    ----------
    cut, stream
        0-based, and what the rounds' numbers count in.
    numbers
        Of the rounds.
    blocks
        Numbers -> their data under this cut, with one leading axis.
    """

    cut: int
    stream: int
    numbers: Sequence[int]
    blocks: Callable[[Sequence[int]], Blocks]


class Stopped(Exception):  # noqa: N818 - a way out of the work, not an error
    """The run must end: time is up, or it was asked to."""

    def __init__(self, reason: StopReason):
        super().__init__(reason)
        self.reason: StopReason = reason


class Ledger:
    """Answers by cut, stream and sample."""

    def __init__(
        self,
        problem: CutUnderUncertainty,
        search: Search,
        inner: Inner,
        session: Session,
        checkpoint: Checkpoint | None = None,
    ):
        self.problem, self.search = problem, search
        self._inner, self._session, self._checkpoint = inner, session, checkpoint
        self._answers: dict[tuple[int, int, int], Solved] = {}
        self._floors: FloatArray | None = None
        self.starts: Sequence[ClusterAndSpectrumDecision | None] = [None] * len(problem.cuts)
        if checkpoint is not None:
            for result in checkpoint.load():
                self._enter(result)
        self.resumed = len(self._answers)

    def floors(self) -> FloatArray:
        """Shape (V, J): cheap lower bounds of all cuts on the problem's samples, in s."""
        if self._floors is None:
            self._floors = self.problem.bounds()
        return self._floors

    def answer_all(self, pieces: Sequence[Piece]) -> list[FloatArray]:
        """Get rounds answered, here or on workers; return the values of each piece in its order.

        All that is missing is one set of work, so that workers wait for each other once.

        Raises
        ------
        Stopped
            Time is up, or the run was asked to stop; what was answered until then is kept.
        """
        batches: list[Batch] = []
        for piece in pieces:
            key = (piece.cut, piece.stream)
            wanted = dict.fromkeys(piece.numbers)  # each once: samples may repeat a round
            missing = [n for n in wanted if (*key, n) not in self._answers]
            batches += [
                self._batch(piece, missing[first : first + BATCH])
                for first in range(0, len(missing), BATCH)
            ]
        if batches:
            self.check()
        for _, result in self._session.as_completed(solve_batch, batches):
            self._enter(result)
            if self._checkpoint is not None:
                self._checkpoint.keep(result)
            self.search.iterations += len(result.samples)
            self.check()
        return [
            np.array([self._answers[p.cut, p.stream, n].value for n in p.numbers]) for p in pieces
        ]

    def answer(self, cut: int, samples: Sequence[int]) -> FloatArray:
        """Return `answer_all` of samples of the problem under one cut."""
        return self.answer_all([self.samples_of(cut, samples)])[0]

    def samples_of(self, cut: int, samples: Sequence[int]) -> Piece:
        """Return the piece of samples of the problem."""
        source = self.problem.source
        first = {self._place(sample)[1]: sample for sample in samples}

        def blocks(numbers: Sequence[int]) -> Blocks:
            return Blocks.stack([source.sample(first[n])[cut] for n in numbers])

        stream = self._place(0)[0]
        return Piece(cut, stream, [self._place(sample)[1] for sample in samples], blocks)

    def _place(self, sample: int) -> tuple[int, int]:
        """Return stream and number of a sample: of a trace it is the measured round's own."""
        source = self.problem.source
        if isinstance(source, Generator) and source.trace is not None:
            return FINITE, source.trace_row(sample)
        return SAMPLES, sample

    def averaged(self, cut: int) -> float:
        """Answer the round in which everything has its mean value; return its seconds."""
        self.check()
        return self._inner.solve(self.problem.expected_block(cut), AVERAGED, 0).value

    def find(self, cut: int, sample: int) -> Solved | None:
        """Return what is known of one of the problem's samples under a cut."""
        return self._answers.get((cut, *self._place(sample)))

    def __len__(self) -> int:
        return len(self._answers)

    def _batch(self, piece: Piece, missing: Sequence[int]) -> Batch:
        return Batch(
            self._inner,
            piece.stream,
            piece.cut,
            np.array(missing, dtype=np.int64),
            piece.blocks(missing),
            self.starts[piece.cut],
        )

    def _enter(self, result: BatchResult) -> None:
        for row, sample in enumerate(result.samples):
            self._answers[result.cut, result.stream, int(sample)] = result.solved(row)

    def check(self) -> None:
        """Raise `Stopped` where the run must end."""
        # A closed gap of the sampled problem does not say how good the samples are: go on.
        if self.search.asked_to_stop:
            raise Stopped("interrupted")
        if self.search.remaining_s <= 0:
            raise Stopped("time")
