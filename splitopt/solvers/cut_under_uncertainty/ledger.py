"""Which samples were answered under which cut, and getting the missing ones answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from splitopt.engine import Session
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty
from splitopt.problems.cut_under_uncertainty.blocks import Blocks
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.cut_under_uncertainty.checkpoint import Checkpoint
from splitopt.solvers.cut_under_uncertainty.inner import (
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

Place = tuple[int, int]
"""A stream and a sample."""


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
        self._bounds: dict[Place, FloatArray] = {}
        if checkpoint is not None:
            for result in checkpoint.load():
                self._enter(result)
        self.resumed = len(self._answers)

    def bounds(self, places: Iterable[Place]) -> FloatArray:
        """Shape (V, ...): cheap lower bounds of all cuts on samples."""
        found = []
        for stream, sample in places:
            if (stream, sample) not in self._bounds:
                block = self.problem.source.sample(sample, stream)
                self._bounds[stream, sample] = block.bounds()
            found.append(self._bounds[stream, sample])
        return np.stack(found, axis=1)

    def answer(self, cut: int, places: Sequence[Place]) -> FloatArray:
        """Get samples answered under a cut, here or on workers; give the values, in their order.

        Raises
        ------
        Stopped
            Time is up, or the run was asked to stop; what was answered until then is kept.
        """
        missing: dict[int, list[int]] = {}
        for stream, sample in places:
            if (cut, stream, sample) not in self._answers:
                missing.setdefault(stream, []).append(sample)
        batches = [
            self._batch(cut, stream, samples[first : first + BATCH])
            for stream, samples in missing.items()
            for first in range(0, len(samples), BATCH)
        ]
        if batches:
            self._check()
        for _, result in self._session.as_completed(solve_batch, batches):
            self._enter(result)
            if self._checkpoint is not None:
                self._checkpoint.keep(result)
            self.search.iterations += len(result.samples)
            self._check()
        return np.array([self._answers[cut, stream, sample].value for stream, sample in places])

    def averaged(self, cut: int) -> float:
        """Answer the round in which everything has its mean value; give its seconds."""
        self._check()
        return self._inner.solve(self.problem.expected_block(cut), AVERAGED, 0).value

    def find(self, cut: int, stream: int, sample: int) -> Solved | None:
        """Give what is known of a sample under a cut."""
        return self._answers.get((cut, stream, sample))

    def __len__(self) -> int:
        return len(self._answers)

    def _batch(self, cut: int, stream: int, samples: list[int]) -> Batch:
        rows = [self.problem.source.sample(sample, stream)[cut] for sample in samples]
        numbers: IntArray = np.array(samples, dtype=np.int64)
        return Batch(self._inner, stream, cut, numbers, Blocks.stack(rows))

    def _enter(self, result: BatchResult) -> None:
        for row, sample in enumerate(result.samples):
            self._answers[result.cut, result.stream, int(sample)] = result.solved(row)

    def _check(self) -> None:
        # A closed gap of the sampled problem does not say how good the samples are: go on.
        if self.search.asked_to_stop:
            raise Stopped("interrupted")
        if self.search.remaining_s <= 0:
            raise Stopped("time")
