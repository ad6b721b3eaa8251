"""Solving the rounds of samples with a solver of `ClusterAndSpectrum`, here or on a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splitopt.distributions import generator
from splitopt.errors import InputError, SplitoptError
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum, ClusterAndSpectrumDecision
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty
from splitopt.problems.cut_under_uncertainty.blocks import Blocks
from splitopt.problems.cut_under_uncertainty.problem import clusters_by_latency
from splitopt.solvers.base import Search, Solver
from splitopt.solvers.cluster_and_spectrum.enumeration import partition_count
from splitopt.solvers.registry import make_solver

QUICK = "quick"
"""Not a solver of its own: devices of similar latency work together, subcarriers are exact."""

_FEW_PARTITIONS = 1000
_SWAPS, _SWAPS_PER_DEVICE = 3000, 100
_RUN_STREAM = 2**32
"""Streams from here on are for the solvers' own draws; samples have lower ones."""


@dataclass(frozen=True, eq=False)
class Solved:
    """The answer to one round: its seconds, a valid lower bound on them, and the decision."""

    value: float
    bound: float
    decision: ClusterAndSpectrumDecision


@dataclass(frozen=True)
class Inner:
    """Which solver answers the rounds, and with which options and seed."""

    solver: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def make(self, block: ClusterAndSpectrum) -> Solver[ClusterAndSpectrum]:
        """Make the solver for a round.

        Raises
        ------
        InputError, CapabilityError
            As `make_solver`, with the words ``inner solver``.
        """
        try:
            return make_solver(block, self.solver, **dict(self.options))
        except SplitoptError as error:
            raise type(error)(f"the inner {error}") from None

    def load(self, problem: CutUnderUncertainty) -> None:
        """Load and compile what the answers need, before a clock starts."""
        if self.solver != QUICK:
            self.make(problem.example).load(problem.example)

    def solve(
        self,
        block: ClusterAndSpectrum,
        stream: int,
        sample: int,
        start: ClusterAndSpectrumDecision | None = None,
    ) -> Solved:
        """Answer one round; the draws depend on its numbers only, and are the same for all cuts.

        The answer is never worse than `start`, whose latency is what the statistics take as an
        upper bound.
        """
        found = self._solve(block, stream, sample)
        if start is not None and (value := block.evaluate(start)) < found.value:
            return Solved(value, min(found.bound, value), start)
        return found

    def _solve(self, block: ClusterAndSpectrum, stream: int, sample: int) -> Solved:
        if self.solver == QUICK:
            decision = block.complete(clusters_by_latency(block))
            value = block.evaluate(decision)
            return Solved(value, min(block.bound(), value), decision)
        solver = self.make(block)
        seed = int(generator(self.seed, _RUN_STREAM + stream, sample).integers(2**31))
        search = Search(block, None, 1e-9, seed)
        solver.run(block, search)
        if search.best is None:
            raise InputError(
                f"the inner solver {solver.name!r} found no answer to sample {sample}; "
                "give it more work to do by its options"
            )
        assert isinstance(search.best, ClusterAndSpectrumDecision)
        bound = max(search.bound, block.bound())
        if bound > search.objective * (1 + 1e-9):
            raise RuntimeError(
                f"bound {bound!r} of {solver.name} is above the value {search.objective!r}"
            )
        return Solved(search.objective, min(bound, search.objective), search.best)


def automatic_inner(
    problem: CutUnderUncertainty, solver: str, options: Mapping[str, Any], seed: int
) -> Inner:
    """Choose the solver of the rounds, and check that it can take them.

    Raises
    ------
    InputError, CapabilityError
        The solver is unknown, does not have these options, or cannot take a round.
    """
    block = problem.block(0, 0)
    if solver == "auto":
        if partition_count(block.cluster_sizes.tolist()) <= _FEW_PARTITIONS:
            solver = "enumerate"
        else:
            solver = "anneal"
            options = {
                "iterations": max(_SWAPS, _SWAPS_PER_DEVICE * block.devices),
                "chains": 1,
                **options,
            }
    found = Inner(solver, dict(options), seed)
    if solver != QUICK:
        found.make(block)
    elif options:
        raise InputError.at("inner_options", "are given, but the inner solver 'quick' has none")
    return found


@dataclass(frozen=True, eq=False)
class Batch:
    """A piece of work for one worker: samples of one stream under one cut."""

    inner: Inner
    stream: int
    cut: int
    samples: IntArray
    blocks: Blocks
    """With the leading axis of `samples`."""
    start: ClusterAndSpectrumDecision | None = None
    """An answer that is there already, see `Inner.solve`."""


@dataclass(frozen=True, eq=False)
class BatchResult:
    """What came of a batch, in plain arrays: they travel and are kept cheaply.

    Clusters stand in ``members``, shape (B, N), one after the other in the order of the sizes in
    ``sizes``, shape (B, M).
    """

    stream: int
    cut: int
    samples: IntArray
    value: FloatArray
    bound: FloatArray
    members: IntArray
    sizes: IntArray
    subcarriers: IntArray

    def solved(self, row: int) -> Solved:
        """Return the answer of one sample."""
        clusters = np.split(self.members[row], np.cumsum(self.sizes[row])[:-1])
        decision = ClusterAndSpectrumDecision(tuple(clusters), self.subcarriers[row])
        return Solved(float(self.value[row]), float(self.bound[row]), decision)


def solve_batch(batch: Batch) -> BatchResult:
    """Answer all samples of a batch."""
    found = [
        batch.inner.solve(batch.blocks[row].single(), batch.stream, int(sample), batch.start)
        for row, sample in enumerate(batch.samples)
    ]
    return BatchResult(
        batch.stream,
        batch.cut,
        batch.samples,
        np.array([one.value for one in found]),
        np.array([one.bound for one in found]),
        np.stack([one.decision.members for one in found]),
        np.stack([np.diff(one.decision.starts) for one in found]),
        np.stack([one.decision.subcarriers for one in found]),
    )
