"""Where an owner's first part ends and its last one begins, chosen together with the pipeline.

MP-SL takes both cuts from its user (section 3.1). Deeper parts at the owner leave less to the nodes
and change what crosses the cuts, but cost the owner time and memory. `best_cuts` looks for the pair
whose pipeline is best, among those that fit into the owners' memory:

* a lower bound of every pair is known without solving it (the pipeline's own cheap bound, plus the
  owner's seconds);
* pairs are solved to a proof in the order of their bounds, until the next bound is no better than
  the best value: that value is then the optimum over all pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.errors import InfeasibleError, InputError
from splitopt.planning.pipelines.proving import proved
from splitopt.problems.arrays import number_table
from splitopt.problems.base import FEASIBILITY_TOLERANCE
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.results import Result
from splitopt.solvers.base import Solver


class Pair(NamedTuple):
    """The owner keeps the layers before ``first`` and from ``last`` on; nodes host the others."""

    first: int
    last: int


@dataclass(frozen=True)
class Candidate:
    """What a pair of cuts leads to: the nodes' problem, and the owners' seconds for a batch."""

    problem: PipelinePartition
    own_s: float


@dataclass(frozen=True)
class CutChoice:
    """The best pair of cuts with its pipeline.

    Parameters
    ----------
    pair
        The cuts.
    problem, result
        The nodes' problem between them, and its proved answer.
    own_s
        Seconds of the owners' own parts for a batch, the mean over owners.
    value
        The objective: the period, or for ``"epoch"`` the epoch with ``own_s``.
    latency_s
        The trip of a batch with ``own_s``.
    pairs, solved
        How many pairs the owners can hold, and how many of them had to be solved.
    """

    pair: Pair
    problem: PipelinePartition
    result: Result
    own_s: float
    value: float
    latency_s: float
    pairs: int
    solved: int


def choose_cuts(
    pairs: Iterable[Pair],
    build: Callable[[Pair], Candidate],
    *,
    solver: str | Solver[Any] = "auto",
    time_limit_s: float | None = None,
) -> CutChoice:
    """Choose among pairs of cuts to a proof.

    Parameters
    ----------
    pairs
        The pairs that the owners can hold.
    build
        Gives what a pair leads to; all problems must have the same objective, ``"period"`` or
        ``"epoch"``. Of pairs with the same period the one with the shortest trip is taken.
    solver, time_limit_s
        What proves the pipeline of one pair, and how long it may take for one.

    Raises
    ------
    InfeasibleError
        No pair has a feasible pipeline.
    SolveError
        The solver ended without a proof.
    """
    waiting = []
    for pair in pairs:
        candidate = build(pair)
        if (stated := candidate.problem.objective) not in ("period", "epoch"):
            raise InputError.at("objective", f"is {stated!r}; take 'period' or 'epoch' here")
        bound = candidate.problem.bound() + _added(candidate)
        waiting.append((bound, pair, candidate))
    waiting.sort(key=lambda entry: (entry[0], entry[1]))
    best: CutChoice | None = None
    reason, solved = None, 0
    for bound, pair, candidate in waiting:
        # No later pair has a lower bound: none can have a lower value than the best.
        if best is not None and bound > best.value * (1 + 1e-12):
            break
        result, decision = proved(candidate.problem, solver, time_limit_s)
        solved += 1
        if decision is None:
            reason = result.message
            continue
        found = CutChoice(
            pair,
            candidate.problem,
            result,
            candidate.own_s,
            value=result.objective + _added(candidate),
            latency_s=candidate.problem.latency(decision) + candidate.own_s,
            pairs=len(waiting),
            solved=0,
        )
        if best is None or _rank(found) < _rank(best):
            best = found
    if best is None:
        raise InfeasibleError(reason or "the owners' memory holds no pair of cuts")
    return replace(best, solved=solved)


def best_cuts(
    problem: PipelinePartition,
    owner_forward_s: npt.ArrayLike,
    owner_backward_s: npt.ArrayLike,
    owner_memory_bytes: npt.ArrayLike,
    *,
    least_first: int = 1,
    least_last: int = 1,
    solver: str | Solver[Any] = "auto",
    time_limit_s: float | None = None,
) -> CutChoice:
    """Choose the first and the last cut of a whole model, jointly with its pipeline.

    Parameters
    ----------
    problem
        All L layers of the model on the nodes, with the bytes of all L + 1 boundaries; objective
        ``"period"`` or ``"epoch"``.
    owner_forward_s, owner_backward_s
        Shape (K, L): seconds per batch of every layer on each owner, or (1, L) for alike owners.
    owner_memory_bytes
        Shape (K,) or (1,): memory of each owner; layers take ``problem.layer_memory_bytes``.
    least_first, least_last
        Layers that the owner keeps at least at the input (the data stay) and at the output (the
        labels stay); 0 lets the nodes have them.

    Raises
    ------
    InputError
        A shape or value that does not fit.
    InfeasibleError
        No pair fits into the owners' memory, or none has a feasible pipeline.
    """
    layers = problem.layers
    forward = number_table(owner_forward_s, "owner_forward_s", "times in s", (-1, layers))
    shape = forward.shape
    backward = number_table(owner_backward_s, "owner_backward_s", "times in s", shape)
    memory = number_table(owner_memory_bytes, "owner_memory_bytes", "memory in byte", shape[:1])
    for name, value in (("least_first", least_first), ("least_last", least_last)):
        if not 0 <= value < layers:
            raise InputError.at(name, f"is {value!r}, it must be from 0 to {layers - 1}")
    own = (forward + backward).mean(axis=0)
    held = np.concatenate(([0.0], np.cumsum(problem.layer_memory_bytes)))
    capacity = float(memory.min()) * (1 + FEASIBILITY_TOLERANCE)

    def kept(pair: Pair) -> float:
        return float(held[pair.first] + held[-1] - held[pair.last])

    every = [
        Pair(first, last)
        for first in range(least_first, layers)
        for last in range(first + 1, layers - least_last + 1)
    ]
    pairs = [pair for pair in every if kept(pair) <= capacity]
    if not pairs:
        least = min((kept(pair) for pair in every), default=math.inf)
        raise InfeasibleError(
            f"the smallest owner has {float(memory.min()):,.0f} byte, and the least first and last "
            f"part take {least:,.0f}; give it as much, or keep fewer layers there"
        )

    def build(pair: Pair) -> Candidate:
        seconds = float(own[: pair.first].sum() + own[pair.last :].sum())
        return Candidate(between(problem, pair), seconds)

    return choose_cuts(pairs, build, solver=solver, time_limit_s=time_limit_s)


def between(problem: PipelinePartition, pair: Pair, **changes: Any) -> PipelinePartition:
    """Return the problem of the layers between two cuts, with some fields replaced.

    Owners have other parts with other cuts: give their ``owner_groups`` if the objective needs
    them.
    """
    inner, ends = slice(pair.first, pair.last), slice(pair.first, pair.last + 1)
    fields: dict[str, Any] = {
        "forward_s": problem.forward_s[:, inner],
        "backward_s": problem.backward_s[:, inner],
        "layer_memory_bytes": problem.layer_memory_bytes[inner],
        "node_memory_bytes": problem.node_memory_bytes,
        "owners": problem.owners,
        "objective": problem.objective,
        "cut_up_bytes": problem.cut_up_bytes[ends],
        "cut_down_bytes": problem.cut_down_bytes[ends],
        "links": problem.links,
        "order": problem.order,
        "use_all_nodes": problem.use_all_nodes,
        "batches": problem.batches,
    }
    return PipelinePartition(**fields | changes)


def _added(candidate: Candidate) -> float:
    """Return what the owners' parts add to the objective."""
    return candidate.own_s if candidate.problem.objective == "epoch" else 0.0


def _rank(choice: CutChoice) -> tuple[float, float]:
    return choice.value, choice.latency_s
