"""Alike nodes, what fits their memory, and the states of a chain that grows node by node."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.problems.base import FloatArray
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision

Index = npt.NDArray[np.int32]


class States(NamedTuple):
    """Which nodes a chain has used so far, and the steps that add one, as an ordered graph.

    With a free order a state counts the nodes used of each kind; with a given order state s has
    passed the first s nodes. State 0 is the empty chain, the last state has used all, and every
    step leads to a later state.
    """

    first: npt.NDArray[np.int64]
    """(Z + 1,): state s is entered by the steps first[s] .. first[s + 1] - 1."""
    before: Index
    """(steps,): the state that a step starts from."""
    kind: Index
    """(steps,): the kind of the node that it adds."""
    fewest: Index
    most: Index
    """(Z,): least and largest number of layers that the chain can hold in a state."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A problem sorted by kinds of nodes: K kinds, S layers.

    Parameters
    ----------
    members
        The nodes of each kind.
    forward_s, backward_s
        Shape (K, S).
    fits_to
        Shape (K, S + 1): where the longest run from each layer that fits the memory ends.
    states
        See `States`.
    may_idle
        Whether a node may be left out.
    """

    members: tuple[tuple[int, ...], ...]
    forward_s: FloatArray
    backward_s: FloatArray
    fits_to: Index
    states: States
    may_idle: bool

    @classmethod
    def of(cls, problem: PipelinePartition) -> Layout:
        """Sort a problem."""
        members = kinds_of(problem)
        ones = [nodes[0] for nodes in members]
        states = _given(problem) if problem.order == "given" else _free(problem, members)
        return cls(
            members=members,
            forward_s=problem.forward_s[ones],
            backward_s=problem.backward_s[ones],
            fits_to=_fits_to(problem, ones),
            states=states,
            may_idle=not problem.use_all_nodes,
        )

    @property
    def layers(self) -> int:
        """Number of layers S."""
        return int(self.forward_s.shape[1])

    @property
    def work(self) -> int:
        """How many steps of a loop one test of a cap takes, about."""
        return 2 * self.fits_to.size + len(self.states.before)

    def decision(self, kinds: list[int], boundaries: list[int]) -> PipelinePartitionDecision:
        """Name the nodes of a chain of kinds; runs without a layer are left out."""
        taken = [0] * len(self.members)
        nodes, ends = [], [0]
        for kind, end in zip(kinds, boundaries[1:], strict=True):
            if end > ends[-1]:
                nodes.append(self.members[kind][taken[kind]])
                ends.append(end)
                taken[kind] += 1
        return PipelinePartitionDecision.of_chain(nodes, ends)


def kinds_of(problem: PipelinePartition) -> tuple[tuple[int, ...], ...]:
    """Group nodes that are alike in times and memory; in a given order each stands alone."""
    if problem.order == "given":
        return tuple((node,) for node in range(problem.nodes))
    found: dict[tuple[bytes, bytes, float], list[int]] = {}
    for node in range(problem.nodes):
        rows = problem.forward_s[node].tobytes(), problem.backward_s[node].tobytes()
        found.setdefault((*rows, float(problem.node_memory_bytes[node])), []).append(node)
    return tuple(tuple(nodes) for nodes in found.values())


def count_states(problem: PipelinePartition) -> int:
    """Count the states of a problem without building them."""
    if problem.order == "given":
        return problem.nodes + 1
    return math.prod(len(nodes) + 1 for nodes in kinds_of(problem))


def _free(problem: PipelinePartition, members: tuple[tuple[int, ...], ...]) -> States:
    """States are the counts of used nodes by kind, numbered in a mixed radix."""
    counts = np.array([len(nodes) for nodes in members])
    strides = np.cumprod(np.concatenate(([1], counts[:-1] + 1)))
    numbers = np.arange(int(np.prod(counts + 1)), dtype=np.int32)
    used = (numbers[:, None] // strides) % (counts + 1)
    entered, kind = np.nonzero(used)
    before = entered - strides[kind]
    return _states(problem, used.sum(axis=1), (used > 0).sum(axis=1), before, kind)


def _given(problem: PipelinePartition) -> States:
    passed = np.arange(problem.nodes + 1)
    return _states(problem, passed, np.minimum(passed, 1), passed[:-1], passed[:-1])


def _states(
    problem: PipelinePartition,
    used: npt.NDArray[np.int64],
    entries: npt.NDArray[np.int64],
    before: npt.NDArray[np.int64],
    kind: npt.NDArray[np.int64],
) -> States:
    layers = problem.layers
    fewest, most = np.zeros_like(used), np.full_like(used, layers)
    if problem.use_all_nodes:
        fewest, most = used, layers - problem.nodes + used
    return States(
        first=np.concatenate(([0], np.cumsum(entries))).astype(np.int64),
        before=before.astype(np.int32),
        kind=kind.astype(np.int32),
        fewest=fewest.astype(np.int32),
        most=most.astype(np.int32),
    )


def _fits_to(problem: PipelinePartition, ones: list[int]) -> Index:
    """Find the longest runs that fit, with the tolerance that the problem itself grants."""
    found = np.empty((len(ones), problem.layers + 1), dtype=np.int32)
    for row, capacity in zip(found, problem.capacity_bytes[ones].tolist(), strict=True):
        space = capacity / problem.owners
        alone = problem.owners * problem.layer_memory_bytes <= capacity
        total = np.concatenate(([0.0], np.cumsum(np.where(alone, problem.layer_memory_bytes, 0.0))))
        row[:] = np.searchsorted(total, total + space, side="right") - 1
        _settle(row, total, problem, capacity)
        row[:] = np.minimum(row, _next_false(alone))
    return found


def _settle(row: Index, total: FloatArray, problem: PipelinePartition, capacity: float) -> None:
    """Sum the runs anew, exactly, whose fit the rounding of running sums leaves open."""
    layers, sizes = problem.layers, problem.layer_memory_bytes
    rounding = (layers + 8) * np.finfo(np.float64).eps * (2 * total[-1] + capacity)
    space = capacity / problem.owners
    last = total[row] - total
    more = total[np.minimum(row + 1, layers)] - total
    unsure = (last > space - rounding) | ((row < layers) & (more <= space + rounding))

    def fits(start: int, end: int) -> bool:
        return problem.owners * math.fsum(sizes[start:end].tolist()) <= capacity

    for start in np.flatnonzero(unsure).tolist():
        end = max(int(row[start]), start)
        while end > start and not fits(start, end):
            end -= 1
        while end < layers and fits(start, end + 1):
            end += 1
        row[start] = end


def _next_false(flags: npt.NDArray[np.bool_]) -> Index:
    """Shape (S + 1,): the first place at or after each at which `flags` (S,) is false, or S."""
    places = np.where(flags, len(flags), np.arange(len(flags)))
    return np.minimum.accumulate(np.append(places, len(flags))[::-1])[::-1].astype(np.int32)


def limits(layout: Layout, allowed: npt.NDArray[np.bool_]) -> Index:
    """Shape (K, S + 1): the longest runs that fit and hold only allowed layers (K, S)."""
    found = [
        np.minimum(row, _next_false(flags))
        for row, flags in zip(layout.fits_to, allowed, strict=True)
    ]
    return np.array(found, dtype=np.int32)
