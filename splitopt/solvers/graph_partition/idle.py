"""Groups without work, joined with a neighbour where no plan gets worse by it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.problems.graph_partition import GraphPartition


@dataclass
class Draft:
    """A graph of groups while groups are joined.

    Parameters
    ----------
    size
        How many groups there were at first.
    idle
        The groups that may be joined with others: without work, and without memory that counts.
    after, before
        Group -> its direct neighbours in the order.
    members, cost
        Hyperedge -> its groups, and its cost.
    edges_of
        Group -> its hyperedges.
    joined
        Group -> the one that it was joined with.
    """

    size: int
    idle: set[int]
    after: dict[int, set[int]]
    before: dict[int, set[int]]
    members: dict[int, set[int]]
    cost: dict[int, float]
    edges_of: dict[int, set[int]]
    joined: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        problem: GraphPartition,
        group: IntArray,
        edges: Iterable[tuple[IntArray, float]],
    ) -> Draft:
        """Start from the group of every node, and the groups and costs of the outputs."""
        size = int(group.max()) + 1
        arcs = group[problem.order]
        after: dict[int, set[int]] = {g: set() for g in range(size)}
        before: dict[int, set[int]] = {g: set() for g in range(size)}
        for a, b in np.unique(arcs[arcs[:, 0] != arcs[:, 1]], axis=0).tolist():
            after[a].add(b)
            before[b].add(a)
        members, cost = {}, {}
        edges_of: dict[int, set[int]] = {g: set() for g in range(size)}
        for h, (touched, price) in enumerate(edges):
            found = set(touched.tolist())
            if len(found) > 1:
                members[h], cost[h] = found, price
                for g in found:
                    edges_of[g].add(h)
        works = np.bincount(group, problem.accelerator_s + problem.cpu_s) > 0
        works |= np.bincount(group, problem.cpu_only) > 0
        if math.fsum(problem.memory_bytes.tolist()) > problem.memory_limit:
            works |= np.bincount(group, problem.memory_bytes) > 0
        idle = set(np.flatnonzero(~works).tolist())
        return cls(size, idle, after, before, members, cost, edges_of)

    def home(self, group: int) -> int:
        """Return the group that a group has become part of."""
        while group in self.joined:
            group = self.joined[group]
        return group


def join_idle(draft: Draft) -> None:
    """Join idle groups with their only direct successor or predecessor, until none is left.

    Move an idle group v to the device of w, its only direct successor: the order stands, as all
    that v waits for is there already. The hyperedges of v and w alone are not cut any more, which
    both devices save. Those of v without w may newly be cut at both. So no load grows where the
    latter cost no more than the former, and some optimum has v and w on one device. The same holds
    for the only predecessor. Without work and memory, v takes nothing else from either device.
    """
    waiting = sorted(draft.idle)
    while waiting:
        again = set()
        for v in waiting:
            if v in draft.joined:
                continue
            for near in (draft.after[v], draft.before[v]):
                if len(near) == 1 and _saves(draft, v, w := next(iter(near))):
                    again |= _join(draft, v, w) & draft.idle
                    break
        waiting = sorted(g for g in again if g not in draft.joined)


def _saves(draft: Draft, v: int, w: int) -> bool:
    """Whether what is saved between v and w is at least what v newly cuts elsewhere."""
    saved = lost = 0.0
    for h in draft.edges_of[v]:
        if w not in draft.members[h]:
            lost += draft.cost[h]
        elif len(draft.members[h]) == 2:
            saved += draft.cost[h]
    return lost <= saved


def _join(draft: Draft, v: int, w: int) -> set[int]:
    """Make v part of w; return the groups whose neighbours have changed."""
    draft.joined[v] = w
    touched = {w}
    for mine, theirs in ((draft.after, draft.before), (draft.before, draft.after)):
        for x in mine.pop(v):
            theirs[x].discard(v)
            if x != w:
                theirs[x].add(w)
                mine[w].add(x)
            touched.add(x)
    for h in draft.edges_of.pop(v):
        members = draft.members[h]
        members.discard(v)
        members.add(w)
        draft.edges_of[w].add(h)
        if len(members) == 1:
            del draft.members[h]
            draft.edges_of[w].discard(h)
        else:
            touched |= members
    return touched
