"""Simulated annealing over the clusters, from the sort by capability, with several chains."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from splitopt.documents.checks import LARGEST_WHOLE, check_choice, check_positive, check_whole
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum import (
    ClusterAndSpectrum,
    ClusterAndSpectrumDecision,
)
from splitopt.problems.cluster_and_spectrum.subcarriers import RULES
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cluster_and_spectrum.swaps import (
    Swaps,
    by_capability,
    in_portions,
    load_swaps,
)
from splitopt.solvers.options import MOST_AT_ONCE


@dataclass(frozen=True)
class Anneal(Solver[ClusterAndSpectrum]):
    """Swap two devices of two clusters, while the temperature falls from `hot` to `cold`.

    The first clusters are those of the decision to start from, or the sort by capability.

    Parameters
    ----------
    iterations
        Swaps of a chain; None for 600 for every device up to 20,000, and 200 for every device
        where that is more.
    chains
        Independent chains of which the best counts; None for 3 up to 100 devices and 1 beyond,
        where chains hardly differ.
    hot, cold
        First and last temperature, as fractions of the mean seconds of a cluster at the start. Each
        further chain starts four times as hot as the one before: how rough a landscape is differs.
    subcarriers
        How a cluster's subcarriers are shared: ``exact``, ``tie_safe`` or ``greedy``.
    workers
        Processes that the chains run on; the answer is the same on any number.
    """

    name: ClassVar[str] = "anneal"
    problem: ClassVar[str] = "cluster_and_spectrum"
    objectives: ClassVar[frozenset[str]] = frozenset(ClusterAndSpectrum.objectives)
    kind: ClassVar[Kind] = "heuristic"
    start_use: ClassVar[str] = "the first clusters, if they beat the sort by capability"

    iterations: int | None = None
    chains: int | None = None
    hot: float = 0.01
    cold: float = 5e-4
    subcarriers: str = "exact"
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("iterations", "chains"):
            if getattr(self, name) is not None:
                most = MOST_AT_ONCE if name == "chains" else LARGEST_WHOLE
                check_whole(name, getattr(self, name), 1, most)
        check_positive("hot", self.hot)
        check_positive("cold", self.cold, self.hot)
        check_choice("subcarriers", self.subcarriers, tuple(RULES))
        check_whole("workers", self.workers, 1, MOST_AT_ONCE)

    def load(self, problem: ClusterAndSpectrum) -> None:
        """Compile the loop of swaps, or load what an earlier process compiled."""
        if not problem.is_small:
            load_swaps(self.subcarriers)

    def run(self, problem: ClusterAndSpectrum, search: Search) -> StopReason:
        """Propose the sort by capability, then the best state of every chain."""
        search.prove(problem.bound())
        first = Swaps(problem, by_capability(problem), self.subcarriers)
        if (old := old_members(problem, search)) is not None:
            first = min(first, Swaps(problem, old, self.subcarriers), key=lambda one: one.least)
        members = first.best
        search.propose(first.decision(best=True))
        if (reason := search.stop()) is not None:
            return reason
        if len(problem.cluster_sizes) == 1:
            return "converged"
        chains = self.chains or (3 if problem.devices <= 100 else 1)
        jobs = [_Job(self, problem, search.seed, chain, members) for chain in range(chains)]
        if self.workers > 1:
            return self._side_by_side(jobs, search)
        for job in jobs:
            for state, size in job.states():
                search.iterations += size
                if state.least < search.objective:
                    search.propose(state.decision(best=True))
                if (reason := search.stop()) is not None:
                    return reason
        return "iterations"

    def _side_by_side(self, jobs: list[_Job], search: Search) -> StopReason:
        from splitopt.engine import Engine

        limit = None if search.time_limit_s is None else search.remaining_s
        timed = [job._replace(limit_s=limit) for job in jobs]
        workers = min(self.workers, len(jobs))
        for _, (members, done) in Engine("loky", workers).as_completed(_run_chain, timed):
            search.iterations += done
            search.propose(Swaps(jobs[0].problem, members, self.subcarriers).decision(best=True))
        return search.stop() or "iterations"


class _Job(NamedTuple):
    """One chain: what another process needs to run it."""

    solver: Anneal
    problem: ClusterAndSpectrum
    seed: int
    chain: int
    members: IntArray
    limit_s: float | None = None

    def states(self) -> Iterator[tuple[Swaps, int]]:
        """Return the state after each portion of swaps, and the size of the portion."""
        solver, problem = self.solver, self.problem
        total = solver.iterations or default_iterations(problem.devices)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.chain,)))
        hot = solver.hot * 4.0**self.chain
        state = Swaps(problem, self.members, solver.subcarriers)
        unit = state.least / len(problem.cluster_sizes)
        portion, done = in_portions(total), 0
        while size := portion():
            fraction = (done + np.arange(size)) / total
            temperature = unit * hot * (solver.cold / hot) ** fraction
            state.advance(rng, allowances(rng.random(size), temperature))
            done += size
            yield state, size


def old_members(problem: ClusterAndSpectrum, search: Search) -> IntArray | None:
    """Return the members (N,) of a run's start, if it is feasible, in the order of the sizes.

    A decision may have its clusters in any order, and `Swaps` counts them off by the problem's.
    """
    start = search.start
    if not isinstance(start, ClusterAndSpectrumDecision) or problem.violations(start):
        return None
    wanted = np.argsort(problem.cluster_sizes, kind="stable")
    given = np.argsort([len(cluster) for cluster in start.clusters], kind="stable")
    ordered = dict(zip(wanted.tolist(), given.tolist(), strict=True))
    return np.concatenate([start.clusters[ordered[m]] for m in range(len(ordered))])


def default_iterations(devices: int) -> int:
    """Return the swaps of a chain unless a user says otherwise."""
    return max(min(600 * devices, 20_000), 200 * devices)


def _run_chain(job: _Job) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], int]:
    """Run a chain to its end or limit; return its best members and how many swaps it tried."""
    end = math.inf if job.limit_s is None else time.perf_counter() + job.limit_s
    done = 0
    for state, size in job.states():
        done, best = done + size, state.best
        if time.perf_counter() >= end:
            break
    return best, done


def allowances(u: FloatArray, temperature: FloatArray) -> FloatArray:
    """Return below which rise, in s, a swap is kept: u < exp(-d / T) if d < -T ln u."""
    return np.asarray(-temperature * np.log1p(-u))
