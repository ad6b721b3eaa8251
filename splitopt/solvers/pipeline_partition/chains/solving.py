"""The exact search of `subset_dp`, from the problem to the proof."""

from __future__ import annotations

import math
from collections.abc import Callable

from splitopt.errors import InfeasibleError
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.results import OPTIMAL_GAP, StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.pipeline_partition.chains.caps import TooLargeError
from splitopt.solvers.pipeline_partition.chains.goals import Goal, goals_of
from splitopt.solvers.pipeline_partition.chains.loops import Loops
from splitopt.solvers.pipeline_partition.chains.paper import PaperSearch, StoppedError
from splitopt.solvers.pipeline_partition.chains.reasons import why_none
from splitopt.solvers.pipeline_partition.chains.search import SAME, ChainSearch, Ending, Found

MOST_ENTRIES = 2**26
"""Entries of the tables of links, of which there are two, that are held at most."""


def solve_chains(
    problem: PipelinePartition, search: Search, loops: Loops | None = None
) -> StopReason:
    """Solve a problem; propose the decision and prove its value.

    Of several decisions with the best value it proposes one with the least latency. Nothing is
    proposed before the end, since a search keeps the first of several with the same objective.

    Parameters
    ----------
    problem, search
        The problem, and the run that is told the answer.
    loops
        The version of the loops to use; None for the one that suits the problem.

    Raises
    ------
    InfeasibleError
        No chain of nodes meets all constraints; the message says what would do.
    """
    with search.building():
        run = _Run(problem, search, loops)
    start = search.start
    if isinstance(start, PipelinePartitionDecision) and not problem.violations(start):
        run.offer(start)
    try:
        if problem.objective == "period":
            return run.period()
        return run.paper() if problem.objective == "paper" else run.frontier()
    finally:
        search.iterations += run.tests
        if run.best is not None:
            search.propose(run.best)


def refusal_of(problem: PipelinePartition, max_states: int) -> str | None:
    """Return why a problem is too large to be laid out, None if it is not."""
    search = ChainSearch(problem)
    if search.vertices > max_states:
        apart = search.kinds.classes > 1
        what = "pairs of used nodes and last node" if apart else "sets of used nodes"
        return (
            f"would have to keep {search.vertices:,} {what}, more than its limit of max_states = "
            f"{max_states:,} (nodes that are alike count once; a given order has few)"
        )
    if search.link_entries > MOST_ENTRIES:
        return (
            f"would have to keep {search.link_entries:,} transfer times of pairs of nodes, more "
            f"than {MOST_ENTRIES:,}"
        )
    return None


class _Run:
    """The state of one run."""

    def __init__(
        self, problem: PipelinePartition, search: Search, loops: Loops | None = None
    ) -> None:
        self.problem = problem
        self.search = search
        self.chains = ChainSearch(problem, loops)
        _ = self.chains.trip_chains  # laid out here, since it counts as building
        frontier = problem.objective in ("epoch", "round")
        self.goals = goals_of(problem, self.chains) if frontier else []
        self.best: PipelinePartitionDecision | None = None
        self.value = self.latency = math.inf
        self.least_s = math.inf
        """Least period of the chains that were offered: of all chains, once that is proved."""

    @property
    def tests(self) -> int:
        """Return how many caps were tested."""
        return self.chains.tests + sum(
            chains.tests for chains, _ in self.goals if chains is not self.chains
        )

    def period(self) -> StopReason:
        """Prove the least period, then look for the least latency that goes with it."""
        ending = self._least_period(self.search.prove)
        if ending != "proved":
            return self._reason(ending)
        self.chains.leave_out(self.value)
        try:
            found = self.chains.least_trip(self.value * (1 + SAME))
        except TooLargeError as error:
            self._not_the_quickest(error)
        else:
            if found is not None:
                self.best = found.decision
        return "proved"

    def paper(self) -> StopReason:
        """Prove the least sum of both maxima, then look for the least latency that goes with it."""
        paper = PaperSearch(self.chains, self.offer, self.search.prove, self._halted)
        try:
            ending = paper.run()
        except TooLargeError as error:
            self._not_settled(error)
            return "converged"
        if ending != "proved":
            return self._reason(ending)
        try:
            found = paper.quickest()
        except StoppedError:
            return self._reason("stopped")
        except TooLargeError as error:
            self._not_the_quickest(error)
        else:
            if found is not None:
                self.best = found.decision
        return "proved"

    def frontier(self) -> StopReason:
        """Prove the least value of an objective that rises in both latency and period.

        Goals are taken in the order of a lower bound, until that is no better than the best value.
        """
        latency = self.chains.least_latency_s
        ending = self._least_period(
            lambda low: self.search.prove(min(g.value(latency, low) for _, g in self.goals))
        )
        if ending != "proved":
            return self._reason(ending)
        # Not the period of the best chain so far: another one that was offered may have less.
        least = self.least_s
        for chains in {chains for chains, _ in self.goals}:
            chains.leave_out(self.value)
        waiting = [(goal.value(latency, least), chains, goal) for chains, goal in self.goals]
        waiting.sort(key=lambda entry: entry[0])
        after = [*(entry[0] for entry in waiting[1:]), math.inf]
        try:
            for (bound, chains, goal), other in zip(waiting, after, strict=True):
                if bound > self.value * (1 + SAME):
                    break
                if not self._walk(chains, goal, least, other):
                    return self._reason("stopped")
        except TooLargeError as error:
            self._not_settled(error)
            return "converged"
        self.search.prove(self.value)
        return "proved"

    def _walk(self, chains: ChainSearch, goal: Goal, least: float, other: float) -> bool:
        """Walk along the frontier of period and latency; False if stopped on the way.

        Under a cap of the period, no latency is below the least one. So the least latency under a
        cap rules out every period from that of its own chain to the cap, as the objective falls in
        neither; of what is left, the periods that could be better, or as good with less latency,
        give the next cap.

        Parameters
        ----------
        least
            The least period of any chain, in s.
        other
            A lower bound of all other goals that are not settled.
        """
        latency = chains.least_latency_s
        self._walk_to(chains, least * (1 + SAME))
        cap = chains.largest_period_s
        while True:
            cap = min(cap, goal.cap(self.value * (1 + SAME), latency))
            bound = goal.value(latency, least)
            quicker = latency < self.latency * (1 - SAME)
            limit = self.value * (1 + SAME if quicker else 1 - SAME)
            if cap <= least * (1 + SAME) or bound >= limit:
                return True
            if self._halted():
                return False
            found = self._walk_to(chains, cap)
            if found is None:  # no such ends, or rounding alone
                return True
            latency, cap = found.latency_s, found.period_s * (1 - SAME)
            self.search.prove(min(self.value, goal.value(latency, least), other))

    def _walk_to(self, chains: ChainSearch, cap_s: float) -> Found | None:
        found = chains.least_trip(cap_s)
        if found is not None:
            self.offer(found.decision, found.latency_s)
        return found

    def _least_period(self, prove: Callable[[float], object]) -> Ending:
        return self.chains.least_period(self.offer, prove, self._halted)

    def offer(self, decision: PipelinePartitionDecision, latency_s: float = math.inf) -> float:
        """Keep a decision that is better, or as good with less latency; return its value."""
        value = self.problem.evaluate(decision)
        self.least_s = min(self.least_s, self.problem.load(decision).period_s)
        quicker = latency_s < self.latency * (1 - SAME)
        if value < self.value * (1 - SAME) or (quicker and value <= self.value * (1 + SAME)):
            self.best, self.latency = decision, latency_s
        self.value = min(self.value, value)
        return value

    def _not_the_quickest(self, error: TooLargeError) -> None:
        self.search.message = (
            f"at this size the quickest of several best decisions is not looked for: {error}"
        )

    def _not_settled(self, error: TooLargeError) -> None:
        self.search.message = f"at this size the {self.problem.objective} is not settled: {error}"

    def _halted(self) -> bool:
        """Whether to stop: out of time, asked to, or as close as the user wants it."""
        search = self.search
        near = self.value - search.bound <= search.rel_gap * abs(self.value)
        if search.rel_gap > OPTIMAL_GAP and self.best is not None and near:
            search.propose(self.best)
        return search.stop() is not None

    def _reason(self, ending: Ending) -> StopReason:
        if ending == "infeasible":
            raise InfeasibleError(why_none(self.problem))
        if ending == "large":
            self.search.message = "at this size the sets of boundaries do not fit the memory"
            return "converged"
        return self.search.stop() or "time"
