"""`counts_dp`: replicated pipelines solved to a proof, from the last layer to the first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.base import IntArray
from splitopt.problems.compiling import plain
from splitopt.problems.replicated_pipeline import (
    ReplicatedPipeline,
    ReplicatedPipelineDecision,
)
from splitopt.problems.replicated_pipeline.data import SCHEDULES
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.replicated_pipeline.loops import Fleet, Layers, Rules, Table, fill_row

_FEW = 3_000
"""Steps of the inner loops that Python does sooner than machine code is loaded."""


_SLICE = 20_000_000
"""Steps of the inner loops after which the clock is looked at, some tenths of a second."""


@dataclass(frozen=True)
class CountsDp(Solver[ReplicatedPipeline]):
    """Exact: dynamic programming over the first layer and the devices of each type behind it.

    PipeDream's recursion (Narayanan et al. 2019, section 3.1) turned round, with a count of devices
    for each type. Built from the end, the devices that serve the layers behind are all that the
    micro-batches in flight of a stage depend on, and so is its memory.

    Parameters
    ----------
    max_states
        Refuse a problem with more states than this: layers times the groups of devices that can be
        chosen, of which there are ``prod_t (n_t + 1)``.
    max_pairs
        Refuse one with more pairs of such groups, one inside the other, than this.
    """

    name: ClassVar[str] = "counts_dp"
    problem: ClassVar[str] = "replicated_pipeline"
    objectives: ClassVar[frozenset[str]] = frozenset(ReplicatedPipeline.objectives)
    kind: ClassVar[Kind] = "exact"

    max_states: int = 2**23
    max_pairs: int = 2**22

    def __post_init__(self) -> None:
        check_whole("max_states", self.max_states, 1)
        check_whole("max_pairs", self.max_pairs, 1)

    def refusal(self, problem: ReplicatedPipeline) -> str | None:
        """Reject what would take too much memory, with the price."""
        states = (problem.layers + 1) * math.prod((problem.devices + 1).tolist())
        for count, what, option, most in (
            (states, "states", "max_states", self.max_states),
            (_pairs(problem), "pairs of groups of devices", "max_pairs", self.max_pairs),
        ):
            if count > most:
                return (
                    f"would have to keep {count:,} {what}, more than its limit of {option} = "
                    f"{most:,} (devices of one type count together)"
                )
        return None

    def load(self, problem: ReplicatedPipeline) -> None:
        """Compile the loops, unless the problem is so small that Python does them sooner."""
        if not _is_small(problem):
            _load_loops()

    def run(self, problem: ReplicatedPipeline, search: Search) -> StopReason:
        """Fill in the table from the last layer to the first, and follow the best entry."""
        search.prove(problem.bound())
        _try_one_stage(problem, search)
        with search.building():
            laid_out = tables_of(problem)
        # Pipelines without replicas are soon found, and leave less to look at.
        for replicas in sorted({1, problem.most_replicas}):
            if (reason := _below_the_best(problem, laid_out, replicas, search)) is not None:
                return reason
        if search.best is None:
            raise InfeasibleError(why_none(problem))
        search.prove(search.objective)
        return "proved"


def _try_one_stage(problem: ReplicatedPipeline, search: Search) -> None:
    """Propose one stage on a single device of each type, and on all devices."""
    singles = np.eye(problem.types, dtype=np.int64)
    for devices in (*singles, problem.devices):
        search.propose(problem.complete([problem.layers], [devices]))


def _below_the_best(
    problem: ReplicatedPipeline, laid_out: LaidOut, replicas: int, search: Search
) -> StopReason | None:
    """Propose the best pipeline below the best so far, if there is one; return why it stopped.

    Parameters
    ----------
    problem, laid_out
        The problem, and what the loops work on.
    replicas
        Most devices of a stage.
    search
        The run.
    """
    layers, fleet, rules = laid_out
    rules = rules._replace(replicas=replicas, cap=search.objective)
    table = empty_table(problem, fleet)
    fill = plain(fill_row) if _is_small(problem) else fill_row
    block = max(1, _SLICE // len(fleet.larger))
    for start in range(problem.layers - 1, -1, -1):
        for first in range(start + 1, problem.layers + 1, block):
            if (reason := search.stop()) is not None:
                return reason
            last = min(first + block - 1, problem.layers)
            fill(start, (first, last), layers, fleet, rules, table)
        search.iterations += 1
    least = table.value[0].copy()
    if problem.use_all_devices:
        least[:-1] = np.inf
    best = int(least.argmin())
    if least[best] < np.inf:
        search.propose(decision_of(table, fleet, best))
    return None


def why_none(problem: ReplicatedPipeline) -> str:
    """Report that no pipeline meets all constraints, and what may help."""
    mends = ["more memory or devices"]
    if problem.recompute == "never":
        mends.append("recompute: choose")
    if problem.schedule == "gpipe":
        mends.append("the schedule 1f1b, which has fewer micro-batches in flight")
    if problem.use_all_devices:
        mends.append("idle devices (use_all_devices: false)")
    return f"no pipeline meets all constraints; {', '.join(mends)} may help"


LaidOut = tuple[Layers, Fleet, Rules]


def tables_of(problem: ReplicatedPipeline) -> LaidOut:
    """Lay out a problem for the loops."""
    fields = ("forward_s", "backward_s", "weight_bytes", "activation_bytes", "optimizer_bytes")
    cuts = ("cut_up_bytes", "cut_down_bytes")
    # Copies: machine code for arrays that are read only would be code of its own.
    layers = Layers(*(np.array(getattr(problem, field)) for field in (*fields, *cuts)))
    counts, begin, larger = _groups(problem.devices)
    rates, room = np.array(problem.rates), np.array(problem.capacity_bytes)
    fleet = Fleet(counts, counts.sum(axis=1), begin, larger, rates, room)
    rules = Rules(
        SCHEDULES.index(problem.schedule),
        problem.micro_batches,
        problem.most_replicas,
        problem.recompute != "always",
        problem.recompute != "never",
        problem.shard_optimizer,
        problem.overlap,
        problem.duplex == "full",
        np.inf,
    )
    return layers, fleet, rules


def empty_table(problem: ReplicatedPipeline, fleet: Fleet) -> Table:
    """Return a table in which only the end is known."""
    shape = (problem.layers, len(fleet.sizes))
    value = np.full((problem.layers + 1, len(fleet.sizes)), np.inf)
    value[-1, 0] = 0.0
    end, group = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    return Table(value, end, group, np.zeros(shape, dtype=np.bool_))


def decision_of(table: Table, fleet: Fleet, group: int) -> ReplicatedPipelineDecision:
    """Follow the stages from the first layer on, with the devices of a group."""
    start, ends, devices, again = 0, [], [], []
    while group:
        end, own = int(table.end[start, group]), int(table.group[start, group])
        ends.append(end)
        devices.append(fleet.counts[own])
        again.append(bool(table.again[start, group]))
        start, group = end, group - own
    return ReplicatedPipelineDecision(np.array(ends), np.array(devices), np.array(again))


def _groups(devices: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """List all groups of devices in mixed radix, and for each those that contain it.

    Since digits of a group are never above those of one that contains it, the difference of two
    numbers is the number of the difference.
    """
    counts = np.indices(tuple((devices + 1).tolist())).reshape(len(devices), -1).T
    counts = np.ascontiguousarray(counts, dtype=np.int64)
    steps = np.cumprod([1, *(devices[:0:-1] + 1).tolist()])[::-1]
    larger = [_containing(row, devices, steps) for row in counts]
    begin = np.concatenate(([0], np.cumsum([len(found) for found in larger]))).astype(np.int64)
    return counts, begin, np.concatenate(larger)


def _containing(group: IntArray, devices: IntArray, steps: IntArray) -> IntArray:
    """List the numbers of the groups that contain one, rising."""
    found = np.zeros(1, dtype=np.int64)
    for own, most, step in zip(group.tolist(), devices.tolist(), steps.tolist(), strict=True):
        found = (found[:, None] + step * np.arange(own, most + 1)).ravel()
    return found


def _pairs(problem: ReplicatedPipeline) -> int:
    """Count the pairs of groups of which one contains the other."""
    return math.prod((n + 1) * (n + 2) // 2 for n in problem.devices.tolist())


def _is_small(problem: ReplicatedPipeline) -> bool:
    return problem.layers**2 * _pairs(problem) <= _FEW


@cache
def _load_loops() -> None:
    """Call the loop once in this process, so that it is not compiled while a clock runs."""
    ones = np.ones((1, 1))
    problem = ReplicatedPipeline(ones, ones, np.ones(1, dtype=np.int64), 1)
    layers, fleet, rules = tables_of(problem)
    fill_row(0, (1, 1), layers, fleet, rules, empty_table(problem, fleet))
