"""`order_search`: pipelines with too many different nodes for `subset_dp`, with a proved bound."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.pipeline_partition import (
    Links,
    PipelinePartition,
    PipelinePartitionDecision,
)
from splitopt.problems.pipeline_partition.restrict import restricted
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.pipeline_partition.chains.loading import loops_ready
from splitopt.solvers.pipeline_partition.chains.loops import Loops
from splitopt.solvers.pipeline_partition.chains.search import ChainSearch
from splitopt.solvers.pipeline_partition.chains.solving import solve_chains


@dataclass(frozen=True)
class OrderSearch(Solver[PipelinePartition]):
    """Local search over the order of nodes, each order solved exactly; a bound by merged nodes.

    With the order given, the exact search has few states. The bound is that of a pipeline whose
    nodes are merged into groups, each node of a group as fast, as large and as well linked as the
    best of it: few kinds of nodes again, and never a larger optimum.

    Parameters
    ----------
    patience
        Orders tried in a row without a better value, per node, before the search ends.
    bound_states
        States that the search for the bound may have: more of them merge fewer nodes.
    """

    name: ClassVar[str] = "order_search"
    problem: ClassVar[str] = "pipeline_partition"
    objectives: ClassVar[frozenset[str]] = frozenset({"round", "period", "epoch"})
    kind: ClassVar[Kind] = "heuristic"

    patience: int = 20
    bound_states: int = 2**16

    def __post_init__(self) -> None:
        check_whole("patience", self.patience, 1)
        check_whole("bound_states", self.bound_states, 16)

    def load(self, problem: PipelinePartition) -> None:
        """Compile the loops, unless Python does what there is to do sooner."""
        self._loops(problem)

    def run(self, problem: PipelinePartition, search: Search) -> StopReason:
        """Bound the optimum, then try orders until none is better for a while."""
        loops = self._loops(problem)
        if problem.order == "given":
            return solve_chains(problem, search, loops)
        merged = merge_nodes(problem, self.bound_states)
        inner = Search(merged, search.time_limit_s and search.remaining_s, 1e-9, 0)
        solve_chains(merged, inner, loops)  # no answer here is no answer at all
        search.prove(inner.bound)
        search.iterations += inner.iterations
        order = _order_of(inner.best, problem.nodes)
        value = _try(problem, order, search, loops)
        failed = 0
        while failed < self.patience * problem.nodes:
            if (reason := search.stop()) is not None:
                return reason
            changed = _moved(order, search.rng)
            found = _try(problem, changed, search, loops)
            failed = 0 if found < value else failed + 1
            if found <= value:
                order, value = changed, found
        return "converged"

    def _loops(self, problem: PipelinePartition) -> Loops:
        """Choose the loops for as many searches as a run has at least."""
        one = ChainSearch(replace(problem, order="given")).steps
        free = problem.order == "free"
        return loops_ready(problem, one * (self.patience * problem.nodes if free else 1))


def merge_nodes(problem: PipelinePartition, most_states: int) -> PipelinePartition:
    """Return a problem of as many nodes whose optimum is no larger, with few kinds of nodes.

    Nodes are sorted by their time for all layers and merged into groups of neighbours, as many
    groups as `most_states` allows.
    """
    group = _groups(problem, most_states)
    forward, backward = (
        np.stack([table[group == g].min(axis=0) for g in range(group.max() + 1)])[group]
        for table in (problem.forward_s, problem.backward_s)
    )
    memory = _best(problem.node_memory_bytes, group)
    return PipelinePartition(
        forward,
        backward,
        problem.layer_memory_bytes,
        memory,
        problem.owners,
        problem.objective,
        problem.cut_up_bytes,
        problem.cut_down_bytes,
        _merged_links(problem.links, group),
        use_all_nodes=problem.use_all_nodes,
        batches=problem.batches,
        owner_groups=problem.owner_groups,
    )


def _groups(problem: PipelinePartition, most_states: int) -> IntArray:
    """Sort nodes into groups, numbered from the fastest on."""
    count = 1
    for groups in range(2, problem.nodes + 1):
        sizes = [len(part) for part in np.array_split(np.arange(problem.nodes), groups)]
        if groups * math.prod(size + 1 for size in sizes) > most_states:
            break
        count = groups
    total = (problem.forward_s + problem.backward_s).sum(axis=1)
    group = np.empty(problem.nodes, dtype=np.int64)
    for number, part in enumerate(np.array_split(np.argsort(total, kind="stable"), count)):
        group[part] = number
    return group


def _best(values: FloatArray, group: IntArray) -> FloatArray:
    """Return for every node (row) the largest values of its group."""
    return np.array([values[group == g].max(axis=0) for g in range(group.max() + 1)])[group]


def _merged_links(links: Links, group: IntArray) -> Links:
    """Return for every pair of nodes the best rate and delay of any pair of their groups."""
    found = links.to_dict()
    band = np.asarray(found.get("bandwidth_bytes_per_s", 0.0))
    if band.ndim == 1:
        found["bandwidth_bytes_per_s"] = _best(band, group)
    elif band.ndim == 2:
        apart = np.where(np.eye(len(group), dtype=np.bool_), 0.0, band)
        found["bandwidth_bytes_per_s"] = _best(_best(apart, group).T, group).T
    delay = np.asarray(found.get("latency_s", 0.0))
    if delay.ndim == 2:
        slow = float(delay.max())
        gain = slow - np.where(np.eye(len(group), dtype=np.bool_), slow, delay)
        found["latency_s"] = np.maximum(0.0, slow - _best(_best(gain, group).T, group).T)
    return Links.read(found, len(group))


def _order_of(decision: object, nodes: int) -> IntArray:
    """Return the order of a decision's chain, then the nodes that it leaves idle."""
    used = (
        decision.chain.nodes
        if isinstance(decision, PipelinePartitionDecision)
        else np.empty(0, dtype=np.int64)
    )
    return np.concatenate((used, np.setdiff1d(np.arange(nodes), used))).astype(np.int64)


def _try(problem: PipelinePartition, order: IntArray, search: Search, loops: Loops) -> float:
    """Solve an order exactly, propose the answer and give its value, infinite if there is none."""
    some = restricted(problem, order.tolist(), order="given")
    inner = Search(some, None, 1e-9, 0)
    search.iterations += 1
    try:
        solve_chains(some, inner, loops)
    except InfeasibleError:
        return math.inf
    if not isinstance(inner.best, PipelinePartitionDecision):
        return math.inf
    return search.propose(PipelinePartitionDecision(order[inner.best.assignment]))


def _moved(order: IntArray, rng: np.random.Generator) -> IntArray:
    """Exchange two nodes, or put one elsewhere."""
    one, other = rng.choice(len(order), 2, replace=False)
    changed = order.copy()
    if rng.random() < 0.5:
        changed[[one, other]] = changed[[other, one]]
        return changed
    return np.insert(np.delete(changed, one), other, order[one])
