"""Pipelines side by side: nodes are partitioned into pipelines, and owners among them.

MP-SL compares one pipeline of all nodes with horizontal scaling, where every node hosts all layers
for some of the owners (section 6.2), and leaves their combination to future work. Both are corners
of this problem: partition (some of) the nodes into groups, give every group a number of owners, and
let it train them as a pipeline of its own; the epoch lasts as long as the slowest group:

    minimise    max_g T(G_g, K_g)  (+ sync_s if there are several groups)
    subject to  the groups G_g are disjoint,  sum_g K_g = K

T(G, k) is the least epoch time (latency + (k batches_per_owner - 1) period) of a pipeline of
exactly the nodes G for k owners, with their memory. It does not fall in k, as more owners need more
memory and more batches. For a deadline T, group G therefore serves up to cap(G, T) owners, and a
dynamic program over sets of nodes finds the most owners that disjoint groups can serve. The least
deadline that serves all is found by bisection with jumps: a feasible test gives an attained value,
an infeasible one the next value at which some cap grows, so that the end is exact.

Owners are taken to be alike, as in MP-SL; their own parts and links are the same constant for every
group and can be added to the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from splitopt.driver import solve
from splitopt.errors import InfeasibleError, InputError, SolveError
from splitopt.problems.arrays import number, whole_number
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.problems.pipeline_partition.restrict import alike_nodes, restricted
from splitopt.results import Result
from splitopt.solvers.base import Solver

MOST_NODES = 12
"""The dynamic program looks at 3^N pairs of sets of nodes."""


@dataclass(frozen=True)
class OwnerGroup:
    """A pipeline of some nodes that trains some of the owners.

    Parameters
    ----------
    nodes
        Indices of its nodes.
    owners
        How many owners it trains.
    assignment
        Which node hosts each layer, shape (S,), as indices of all nodes.
    epoch_s
        Its epoch in s.
    """

    nodes: tuple[int, ...]
    owners: int
    assignment: PipelinePartitionDecision
    epoch_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return the group as JSON-ready data."""
        return {
            "nodes": list(self.nodes),
            "owners": self.owners,
            "assignment": self.assignment.assignment.tolist(),
            "epoch_s": self.epoch_s,
        }


@dataclass(frozen=True)
class Hybrid:
    """The best way to run pipelines side by side, beside the two pure schemes.

    Parameters
    ----------
    groups
        The pipelines with their owners; nodes that are in none stay idle.
    epoch_s
        The epoch of the slowest group in s, ``sync_s`` included where there are several.
    pipeline_s
        One pipeline of all nodes for all owners; infinite where that has no answer.
    horizontal_s
        Every node hosts all layers for its share of the owners, by the exact allocation; infinite
        where no allocation fits.
    """

    groups: tuple[OwnerGroup, ...]
    epoch_s: float
    pipeline_s: float
    horizontal_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-ready data; None where a pure scheme has no answer."""

        def finite(value: float) -> float | None:
            return value if math.isfinite(value) else None

        return {
            "groups": [group.to_dict() for group in self.groups],
            "epoch_s": self.epoch_s,
            "pipeline_s": finite(self.pipeline_s),
            "horizontal_s": finite(self.horizontal_s),
        }


def hybrid(
    problem: PipelinePartition,
    batches_per_owner: int,
    *,
    sync_s: float = 0.0,
    solver: str | Solver[Any] = "auto",
) -> Hybrid:
    """Partition nodes into pipelines and owners among them, to a proof.

    Parameters
    ----------
    problem
        All nodes and layers; ``owners`` is the number K of all owners. Its objective and number of
        batches are not used. With ``order="given"`` each group keeps that order.
    batches_per_owner
        Batches of an owner in an epoch (r B in MP-SL).
    sync_s
        Seconds that several groups need at the end of an epoch to average their copies of the
        layers that they host, which one pipeline does without sending anything.
    solver
        A solver that proves the epoch of a pipeline.

    Raises
    ------
    InputError
        A number that does not fit, or more than `MOST_NODES` nodes.
    InfeasibleError
        No grouping can hold all owners.
    SolveError
        The solver ended without a proof.
    """
    search = _Search(
        problem,
        whole_number(batches_per_owner, "batches_per_owner", 1),
        number(sync_s, "sync_s", "time in s"),
        solver,
    )
    if problem.nodes > MOST_NODES:
        raise InputError.at(
            "nodes", f"there are {problem.nodes}, side-by-side pipelines take at most {MOST_NODES}"
        )
    everything = (1 << problem.nodes) - 1
    alone = [1 << node for node in range(problem.nodes)]
    pipeline = search.seconds(everything, problem.owners)
    horizontal = search.deadline(lambda mask: mask in alone)
    free = search.deadline(lambda _: True)
    single = min(range(1, everything + 1), key=lambda mask: search.seconds(mask, problem.owners))
    choices = (
        [{single: problem.owners}] if search.seconds(single, problem.owners) < math.inf else []
    )
    choices += [shares for shares in (free, horizontal) if shares]
    if not choices:
        raise InfeasibleError(
            f"no grouping of the {problem.nodes} nodes holds the layers of {problem.owners:,} "
            "owners; more memory or fewer owners would do"
        )
    best = min(choices, key=search.value)
    return Hybrid(
        tuple(search.group(mask, owners) for mask, owners in sorted(best.items())),
        search.value(best),
        pipeline,
        search.value(horizontal) if horizontal else math.inf,
    )


Shares = dict[int, int]
"""Set of nodes, as a mask of bits -> number of owners."""


@dataclass
class _Search:
    """Epochs of groups, each solved once, and the search for the least deadline."""

    problem: PipelinePartition
    batches_per_owner: int
    sync_s: float
    solver: str | Solver[Any]
    solved: dict[tuple[int, int], Result] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.alike = alike_nodes(self.problem)
        self.canonical: dict[int, int] = {}

    def value(self, shares: Shares) -> float:
        """Epoch of all groups together."""
        slowest = max(self.seconds(mask, owners) for mask, owners in shares.items())
        return slowest + (self.sync_s if len(shares) > 1 else 0.0)

    def seconds(self, mask: int, owners: int) -> float:
        """T(G, k), infinite where the group cannot hold so many owners."""
        return self._result(mask, owners).objective

    def group(self, mask: int, owners: int) -> OwnerGroup:
        """Return the group with its plan in terms of all nodes."""
        result = self._result(mask, owners)
        assert isinstance(result.decision, PipelinePartitionDecision)
        names = self._names(mask)
        assignment = PipelinePartitionDecision(np.array(names)[result.decision.assignment])
        return OwnerGroup(tuple(sorted(names)), owners, assignment, result.objective)

    def _result(self, mask: int, owners: int) -> Result:
        """Solve a group once for all groups of alike nodes."""
        same = self._same(mask)
        if (same, owners) not in self.solved:
            problem = restricted(
                self.problem,
                _nodes(same),
                owners=owners,
                objective="epoch",
                batches=owners * self.batches_per_owner,
                use_all_nodes=True,
            )
            result = solve(problem, self.solver)
            if result.outcome not in ("optimal", "infeasible"):
                raise SolveError(
                    f"{result.solver} ended without a proof ({result.message})", result
                )
            self.solved[same, owners] = result
        return self.solved[same, owners]

    def _same(self, mask: int) -> int:
        """Return the first of all sets that have as many nodes of each kind."""
        if mask not in self.canonical:
            wanted = [self.alike[node] for node in _nodes(mask)]
            taken = 0
            for kind in sorted(set(wanted)):
                members = [n for n, first in enumerate(self.alike) if first == kind]
                taken |= sum(1 << n for n in members[: wanted.count(kind)])
            self.canonical[mask] = taken
        return self.canonical[mask]

    def _names(self, mask: int) -> list[int]:
        """Return the nodes of a set in the order of the alike nodes of its canonical set."""
        rest = _nodes(mask)
        names = []
        for node in _nodes(self._same(mask)):
            match = next(n for n in rest if self.alike[n] == self.alike[node])
            rest.remove(match)
            names.append(match)
        return names

    def cap(self, mask: int, deadline_s: float) -> int:
        """Count the owners that a group can serve by a deadline."""
        fits = partial(self._meets, mask, deadline_s)
        if fits(self.problem.owners):
            return self.problem.owners
        low, high = 0, self.problem.owners
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def _meets(self, mask: int, deadline_s: float, owners: int) -> bool:
        return self.seconds(mask, owners) <= deadline_s

    def deadline(self, allowed: Callable[[int], bool]) -> Shares | None:
        """Find the owners of disjoint allowed groups whose slowest epoch is the least."""
        owners = self.problem.owners
        groups = [mask for mask in range(1, 1 << self.problem.nodes) if allowed(mask)]
        firsts = sorted({self._same(mask) for mask in groups})
        found = self._serve(groups, 1e300)
        if found is None:
            return None
        low = min(self.seconds(mask, 1) for mask in firsts)
        high = self._slowest(found)
        while low < high:
            middle = low if high - low <= 1e-12 * high else (low + high) / 2
            if (better := self._serve(groups, middle)) is not None:
                found, high = better, min(high, self._slowest(better))
                continue
            grow = [
                self.seconds(mask, count + 1)
                for mask in firsts
                if (count := self.cap(mask, middle)) < owners
            ]
            low = min([value for value in grow if value > middle], default=high)
        return found

    def _slowest(self, shares: Shares) -> float:
        return max(self.seconds(mask, owners) for mask, owners in shares.items())

    def _serve(self, groups: list[int], deadline_s: float) -> Shares | None:
        """Return groups that serve all owners by the deadline, None where none do."""
        firsts = {self._same(mask) for mask in groups}
        most = {first: self.cap(first, deadline_s) for first in firsts}
        caps = {mask: most[self._same(mask)] for mask in groups}
        best = [0] * (1 << self.problem.nodes)
        chosen = [0] * (1 << self.problem.nodes)
        for whole in range(1, len(best)):
            lowest = whole & -whole
            best[whole] = best[whole ^ lowest]
            for part in _parts_with(whole, lowest):
                if part in caps and caps[part] + best[whole ^ part] > best[whole]:
                    best[whole], chosen[whole] = caps[part] + best[whole ^ part], part
        if best[-1] < self.problem.owners:
            return None
        shares: Shares = {}
        whole, rest = len(best) - 1, self.problem.owners
        while whole and rest:
            part = chosen[whole]
            if part:
                shares[part] = min(caps[part], rest)
                rest -= shares[part]
            whole ^= part or (whole & -whole)
        return shares


def _nodes(mask: int) -> list[int]:
    return [node for node in range(mask.bit_length()) if mask >> node & 1]


def _parts_with(whole: int, lowest: int) -> Iterator[int]:
    """Yield all subsets of a set that hold its lowest node."""
    rest = whole ^ lowest
    part = rest
    while True:
        yield part | lowest
        if not part:
            return
        part = (part - 1) & rest
