"""CPSL's Alg. 4: Gibbs sampling over the clusters, as printed and with what it lacks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from splitopt.documents.checks import check_choice, check_positive, check_whole
from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.subcarriers import RULES
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cluster_and_spectrum.swaps import Swaps, in_portions, load_swaps


@dataclass(frozen=True)
class Gibbs(Solver[ClusterAndSpectrum]):
    """Swap two random devices of two random clusters; keep the swap with probability Eq. 35.

    The defaults are the algorithm as CPSL prints it and Table II sets it.

    Parameters
    ----------
    iterations
        Swaps to try, G.
    delta_s
        The smooth factor delta, in s: a swap that lengthens the round by d s is kept with
        probability 1 / (1 + exp(d / delta)).
    evaluation
        ``"naive"`` prices every cluster in every iteration, ``"incremental"`` the two that change.
    keep
        ``"last"`` answers with the state at the end, ``"best"`` with the best visited one.
    subcarriers
        How a cluster's subcarriers are shared: ``greedy`` (Alg. 3), ``tie_safe`` or ``exact``.
    """

    name: ClassVar[str] = "gibbs"
    problem: ClassVar[str] = "cluster_and_spectrum"
    objectives: ClassVar[frozenset[str]] = frozenset(ClusterAndSpectrum.objectives)
    kind: ClassVar[Kind] = "heuristic"

    iterations: int = 1000
    delta_s: float = 1e-4
    evaluation: Literal["naive", "incremental"] = "naive"
    keep: Literal["last", "best"] = "last"
    subcarriers: str = "greedy"

    def __post_init__(self) -> None:
        check_whole("iterations", self.iterations, 1)
        check_positive("delta_s", self.delta_s)
        check_choice("evaluation", self.evaluation, ("naive", "incremental"))
        check_choice("keep", self.keep, ("last", "best"))
        check_choice("subcarriers", self.subcarriers, tuple(RULES))

    def load(self, problem: ClusterAndSpectrum) -> None:
        """Compile the loop of swaps, or load what an earlier process compiled."""
        if not problem.is_small:
            load_swaps(self.subcarriers)

    def run(self, problem: ClusterAndSpectrum, search: Search) -> StopReason:
        """Sample from a random partition on and propose the state that is kept."""
        search.prove(problem.bound())
        members = search.rng.permutation(problem.devices)
        state = Swaps(problem, members, self.subcarriers, self.evaluation == "naive")
        if len(problem.cluster_sizes) == 1:
            search.propose(state.decision(best=True))
            return search.stop() or "converged"
        reason: StopReason = "iterations"
        portion = in_portions(self.iterations, _portion(problem) if state.naive else None)
        try:
            while (stopped := search.stop()) is None and (size := portion()):
                state.advance(search.rng, allowances(search.rng.random(size), self.delta_s))
                search.iterations += size
                if self.keep == "best":
                    search.propose(state.decision(best=True))
        finally:  # also when the user interrupts
            search.propose(state.decision(best=self.keep == "best"))
        return stopped or reason


def allowances(u: FloatArray, delta_s: float) -> FloatArray:
    """Return below which rise, in s, a swap with a uniform draw is kept.

    u < 1 / (1 + exp(d / delta)) holds exactly if d < delta ln((1 - u) / u): the logistic of
    Eq. 35 without an exponential, which overflows for a rise of 0.071 s at delta = 1e-4 s.
    """
    safe = np.maximum(u, np.finfo(np.float64).tiny)
    return np.asarray(delta_s * (np.log1p(-safe) - np.log(safe)))


def _portion(problem: ClusterAndSpectrum) -> int:
    """Return how many swaps to try between two looks at the clock if each prices all clusters."""
    return max(1, math.ceil(20_000 / len(problem.cluster_sizes)))
