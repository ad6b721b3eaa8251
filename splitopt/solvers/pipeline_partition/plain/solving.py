"""The exact search where transfers cost nothing, from the problem to the proof."""

from __future__ import annotations

import math
from collections.abc import Callable

from splitopt.errors import InfeasibleError
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.pipeline_partition.plain.epoch import search_epoch
from splitopt.solvers.pipeline_partition.plain.hunt import Hunt, StoppedError
from splitopt.solvers.pipeline_partition.plain.layout import Layout
from splitopt.solvers.pipeline_partition.plain.paper import search_paper
from splitopt.solvers.pipeline_partition.plain.period import search_period
from splitopt.solvers.pipeline_partition.plain.reach import Reach, Run
from splitopt.solvers.pipeline_partition.plain.reasons import why_none
from splitopt.solvers.pipeline_partition.plain.scaled import FINE, NO_CAP, Scaled

_ROUNDS = 6
"""Every round has at least a million times the resolution of the one before, or is the last."""


def solve_plain(problem: PipelinePartition, search: Search) -> StopReason:
    """Solve a problem without link costs; propose the decision and prove its value.

    Raises
    ------
    InfeasibleError
        No partition fits the memory of the nodes; the message says what would do.
    """
    with search.building():
        layout = Layout.of(problem)
        run = first_run(problem, layout)
    decision = layout.decision(*run)
    search.prove(problem.bound() * (1 - 1e-12))  # its sums are rounded
    reason: StopReason = "proved"
    try:
        for _ in range(_ROUNDS):
            reached = problem.evaluate(decision)
            scaled = Scaled.of(layout, reached, problem.objective == "paper")
            hunt = _hunt(problem, layout, scaled, run, search)
            try:
                _SEARCHES[problem.objective](problem, hunt)
            finally:
                run, search.iterations = hunt.best, search.iterations + hunt.reach.tests
                search.message = hunt.note or search.message
                decision = _better(problem, decision, layout.decision(*run))
            search.prove(hunt.bound_s)
            if hunt.value >= FINE * layout.layers or problem.evaluate(decision) == 0:
                break
    except StoppedError as stopped:
        reason = stopped.reason
    finally:
        search.propose(decision)
    return reason


def first_run(problem: PipelinePartition, layout: Layout) -> Run:
    """Give some chain that fits the memory."""
    scaled = Scaled.of(layout, math.inf, separate=False)
    reach = Reach(layout, scaled)
    run = reach.below(scaled.both, NO_CAP).run
    if run is not None and run.has_idle and not layout.may_idle:
        found = reach.quickest()
        run = None if found is None else found[1]
    if run is None:
        raise InfeasibleError(why_none(problem, _least_period))
    return run


def _hunt(
    problem: PipelinePartition, layout: Layout, scaled: Scaled, run: Run, search: Search
) -> Hunt:
    both, forward, backward = scaled.both, scaled.forward, scaled.backward
    others = (problem.batches or 1) - 1
    values: dict[str, Callable[[Run], int]] = {
        "period": lambda run: run.largest(both),
        "paper": lambda run: run.largest(forward) + run.largest(backward),
        "epoch": lambda run: run.total(both) + others * run.largest(both),
    }
    constant = problem.owner_transfers_s if problem.objective == "epoch" else 0.0
    return Hunt(layout, scaled, search, values[problem.objective], run, constant_s=constant)


_SEARCHES: dict[str, Callable[[PipelinePartition, Hunt], None]] = {
    "period": lambda problem, hunt: search_period(hunt),  # noqa: ARG005 - one shape for all
    "paper": lambda problem, hunt: search_paper(hunt),  # noqa: ARG005
    "epoch": lambda problem, hunt: search_epoch(hunt, (problem.batches or 1) - 1),
}


def _better(
    problem: PipelinePartition, old: PipelinePartitionDecision, new: PipelinePartitionDecision
) -> PipelinePartitionDecision:
    """Take the new decision unless rounding made it worse than what was there."""
    worse = problem.evaluate(new) > problem.evaluate(old) * (1 + 1e-12)
    return old if worse else new


def _least_period(problem: PipelinePartition) -> float:
    """Give the optimum of a problem that has an answer."""
    search = Search(problem, time_limit_s=None, rel_gap=0.0, seed=0)
    solve_plain(problem, search)
    return search.objective
