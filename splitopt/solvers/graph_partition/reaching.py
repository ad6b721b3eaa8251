"""Whether some partition has no load above T: layer by layer over the ideals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.graph_partition import GraphPartition
from splitopt.solvers.base import Search
from splitopt.solvers.graph_partition.groups import Groups
from splitopt.solvers.graph_partition.ideal_loops import BITS
from splitopt.solvers.graph_partition.listing import Ideals, ShortArray
from splitopt.solvers.graph_partition.reach_loops import (
    drop_dominated,
    step_accelerator,
    step_cpu,
)

_PAIRS_AT_ONCE = 2_000_000
"""Pairs of ideals between two looks at the clock."""
_COMPARED = 2_000
"""States of a layer that others are compared with for dominance; the largest ideals."""

FIRST_STEP = 0.002
"""How far above the bound the first value is tested; the next ones go twice as far each."""
JUST_BELOW = 8e-10
"""How far below a known plan a better one is looked for: within what counts as proved."""

Verdict = Literal["feasible", "infeasible", "stopped"]


class Answer(NamedTuple):
    """What a test says, and the device of every group where it is feasible."""

    verdict: Verdict
    device: IntArray | None = None


@dataclass(frozen=True, eq=False)
class Fleet:
    """The devices: how many there are, and the memory of an accelerator, finite."""

    accelerators: int
    cpus: int
    memory_bytes: float


@dataclass(eq=False)
class Tester:
    """Tests values of T on the ideals of a graph; counts states and pairs of all tests.

    Parameters
    ----------
    groups, ideals, fleet
        What is asked.
    free_work
        Shape (G,): the work of each group that counts while a CPU is free.
    stop
        Whether to stop: time is up, or somebody asked for it.
    most_pairs
        How many pairs of ideals all tests together may look at.
    dominance
        Whether dominated states are dropped.
    """

    groups: Groups
    ideals: Ideals
    fleet: Fleet
    free_work: FloatArray
    stop: Callable[[], bool]
    most_pairs: int
    dominance: bool = True
    pairs: int = 0
    states: int = 0
    dropped: int = 0

    def __post_init__(self) -> None:
        size, cpus = self.ideals.count, self.fleet.cpus
        self._states = np.zeros((size * (cpus + 1), 4), dtype=np.int64)
        self._values = np.zeros(len(self._states))
        self._alive: BoolArray = np.ones(len(self._states), dtype=np.bool_)
        self._masks = np.zeros((_COMPARED, self.ideals.words.shape[1]), dtype=np.int64)

    def test(self, limit: float) -> Answer:
        """Find a partition with no load above a limit, or find out that there is none."""
        ideals, fleet = self.ideals, self.fleet
        run = _Run(
            seen=np.zeros((ideals.count, fleet.cpus + 1), dtype=np.int64),
            stamp=np.zeros(ideals.count, dtype=np.int32),
            size=np.array([1], dtype=np.int64),
            limits=np.array([limit, self._relief(limit), fleet.memory_bytes]),
            counts=np.array([fleet.accelerators, fleet.cpus], dtype=np.int64),
        )
        self._alive[:] = True
        self._states[0] = 0, 0, -1, 0
        self._values[0] = 0.0
        run.seen[0, 0] = 1
        verdict = self._layers(run)
        if run.seen[
            -1
        ].any():  # a partition is one, even if time ended before the best of its layer
            verdict = "feasible"
        self.states += int(run.size[0])
        return Answer(verdict, self._devices(run) if verdict == "feasible" else None)

    def _layers(self, run: _Run) -> Verdict:
        """Go from layer to layer: first the CPUs of one, then one more accelerator."""
        first = 0
        for layer in range(self.fleet.accelerators + 1):
            for cpus in range(self.fleet.cpus + 1):
                self._drop(run, first, cpus)
                if cpus < self.fleet.cpus and not self._cpu(run, first, layer, cpus):
                    return "stopped"
            if run.seen[-1].any():
                return "feasible"
            end = int(run.size[0])
            if layer == self.fleet.accelerators or end == first:
                break
            if not self._accelerator(run, first, layer + 1):
                return "stopped"
            first = end
        return "infeasible"

    def _is_over(self) -> bool:
        return self.pairs > self.most_pairs or self.stop()

    def _accelerator(self, run: _Run, place: int, layer: int) -> bool:
        """Extend a layer by one more accelerator, in parts; False if there is no time."""
        groups, ideals, end = self.groups, self.ideals, int(run.size[0])
        arrays: list[Any] = [
            *(end, layer, self._states, self._values, self._alive, run.size),
            *(run.seen, run.stamp, ideals.words, ideals.sums),
            *(ideals.arc_starts, ideals.arc_group, ideals.arc_ideal),
            *(groups.work_s, groups.memory_bytes, groups.cpu_only),
            *(groups.edges_of.starts, groups.edges_of.items),
            *(groups.members.starts, groups.cost_s),
            *(run.limits, run.counts, _PAIRS_AT_ONCE),
        ]
        while place < end:
            if self._is_over():
                return False
            place, pairs = step_accelerator(place, *arrays)
            self.pairs += pairs
        return True

    def _cpu(self, run: _Run, first: int, layer: int, cpus: int) -> bool:
        """Extend a layer by one more CPU, in parts; False if there is no time."""
        ideals, place, end = self.ideals, first, int(run.size[0])
        arrays: list[Any] = [
            *(end, cpus, layer, first, self._states, self._values, self._alive),
            *(run.size, run.seen, run.stamp, ideals.sums),
            *(ideals.arc_starts, ideals.arc_group, ideals.arc_ideal),
            *(self.groups.host_s, run.limits, run.counts, _PAIRS_AT_ONCE),
        ]
        while place < end:
            if self._is_over():
                return False
            place, pairs = step_cpu(place, *arrays)
            self.pairs += pairs
        return True

    def _drop(self, run: _Run, first: int, cpus: int) -> None:
        """Drop dominated states of a layer."""
        end = int(run.size[0])
        if not self.dominance or end - first < 2:
            return
        groups = self.groups
        order = first + np.argsort(-self._states[first:end, 0], kind="stable")
        self.dropped += drop_dominated(
            *(order, cpus, self._states, self._alive, self.ideals.words, groups.work_s),
            *(groups.members.starts, groups.members.items, groups.cost_s, self._masks),
        )

    def _relief(self, limit: float) -> float:
        """Return what a CPU takes off the accelerators at most within a limit.

        The fractional knapsack: nodes with the largest ratio of work to time on a CPU first.
        """
        own, other = self.free_work, self.groups.host_s
        useful = np.flatnonzero((own > 0) & (other > 0))
        with np.errstate(over="ignore"):
            order = useful[np.argsort(-own[useful] / other[useful], kind="stable")]
        left, found = limit, 0.0
        for own_s, host_s in zip(own[order].tolist(), other[order].tolist(), strict=True):
            if host_s >= left:
                found += own_s * (left / host_s)
                break
            left, found = left - host_s, found + own_s
        return float(found * (1 + 1e-12))  # never too little by rounding

    def _devices(self, run: _Run) -> IntArray:
        """Follow the parents of the best way to the whole, and number the devices."""
        device = np.empty(self.groups.count, dtype=np.int64)
        ends = run.seen[-1][run.seen[-1] > 0] - 1
        place = int(ends[self._values[ends].argmin()])
        accelerator, cpu = self.fleet.accelerators - 1, self.fleet.cpus - 1
        while (parent := int(self._states[place, 2])) >= 0:
            new = self.ideals.words[self._states[place, 0]]
            old = self.ideals.words[self._states[parent, 0]]
            on_cpu = bool(self._states[place, 3])
            own = self.fleet.accelerators + cpu if on_cpu else accelerator
            device[members_of(new & ~old)] = own
            accelerator, cpu = accelerator - (not on_cpu), cpu - on_cpu
            place = parent
        return device


@dataclass(frozen=True, eq=False)
class _Run:
    """What one test works on."""

    seen: IntArray
    stamp: ShortArray
    size: IntArray
    limits: FloatArray
    counts: IntArray


def propose(
    problem: GraphPartition, groups: Groups, fleet: Fleet, device: IntArray, search: Search
) -> None:
    """Propose a plan of a test, whose devices are numbered among those of the fleet."""
    found = device.copy()
    found[found >= fleet.accelerators] += problem.accelerators - fleet.accelerators
    search.propose(groups.decision(found))


def members_of(words: Any) -> IntArray:
    """Return the groups of a set that is written as bits."""
    found = [
        w * BITS + b for w, word in enumerate(words.tolist()) for b in range(BITS) if word >> b & 1
    ]
    return np.array(found, dtype=np.int64)


def rounding(groups: Groups) -> float:
    """Bound by how much a computed load may differ from the true one.

    No sum has more terms than there are groups and members of hyperedges, and none is ever above
    all work and twice all costs.
    """
    terms = groups.count + 2 * len(groups.members.items)
    whole = math.fsum(groups.work_s.tolist()) + 2 * math.fsum(groups.cost_s.tolist())
    return 2 * math.ulp(1.0) * terms * max(whole, math.fsum(groups.host_s.tolist()))
