"""Which nodes can stand in for each other, so that only their number counts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.pipeline_partition import Links, PipelinePartition


@dataclass(frozen=True, eq=False)
class Kinds:
    """Nodes sorted into T kinds.

    Parameters
    ----------
    member
        Shape (N,): kind of each node.
    link_class
        Shape (T,): class of each kind under `link_classes`, numbered from 0 to K - 1; kinds are
        sorted by it.
    first
        Shape (T,): the first node of each kind, which stands for all.
    count
        Shape (T,): nodes of each kind.
    """

    member: IntArray
    link_class: IntArray
    first: IntArray
    count: IntArray

    @property
    def classes(self) -> int:
        """Number of link classes K."""
        return int(self.link_class[-1]) + 1

    def nodes(self, kinds: Sequence[int]) -> list[int]:
        """Turn a chain of kinds into one of nodes: the lowest index of each kind comes first."""
        left = [np.flatnonzero(self.member == kind).tolist() for kind in range(len(self.first))]
        return [left[kind].pop(0) for kind in kinds]


def kinds_of(problem: PipelinePartition) -> Kinds:
    """Sort the nodes of a problem into kinds; with a given order each node is its own."""
    if problem.order == "given":
        every = np.arange(problem.nodes)
        one = np.zeros_like(every)
        classes = every if _differ(problem.links) else one
        return Kinds(every, classes, every, np.ones_like(every))
    classes = link_classes(problem.links)
    rates = problem.links.interface_rates
    looks = [
        (
            int(classes[node]),
            problem.forward_s[node].tobytes(),
            problem.backward_s[node].tobytes(),
            float(problem.node_memory_bytes[node]),
            None if rates is None else float(rates[node]),
        )
        for node in range(problem.nodes)
    ]
    return _numbered(looks, classes)


def link_classes(links: Links) -> IntArray:
    """Sort nodes by their links alone, shape (N,), numbered in the order of first appearance.

    Two nodes are of a class if exchanging them changes no rate and no delay of any pair. That is
    an equivalence: exchanging i and k is exchanging j and k, then i and j, then j and k again.
    """
    if not _differ(links):
        return np.zeros(links.nodes, dtype=np.int64)
    if links.interface_rates is not None:
        return _first_seen(links.interface_rates.tolist())
    tables = (links.rates, links.delays_s)
    classes = np.full(links.nodes, -1, dtype=np.int64)
    heads: list[int] = []
    for node in range(links.nodes):
        for number, head in enumerate(heads):
            if all(_exchangeable(table, head, node) for table in tables):
                classes[node] = number
                break
        else:
            classes[node] = len(heads)
            heads.append(node)
    return classes


def _differ(links: Links) -> bool:
    """Whether it can matter for a link which nodes it joins."""
    return links.model in ("pairwise", "nic", "serial")


def _exchangeable(table: FloatArray, one: int, other: int) -> bool:
    same_row: BoolArray = table[one] == table[other]
    same_column: BoolArray = table[:, one] == table[:, other]
    apart = same_row & same_column
    apart[[one, other]] = True
    return bool(apart.all()) and bool(table[one, other] == table[other, one])


def _first_seen(keys: Sequence[Hashable]) -> IntArray:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _numbered(looks: Sequence[Hashable], classes: IntArray) -> Kinds:
    """Enumerate the kinds so that those of a link class stand together."""
    seen = _first_seen(looks)
    heads = np.unique(seen, return_index=True)[1]
    order = np.argsort(classes[heads], kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first = heads[order]
    return Kinds(rank[seen], classes[first], first, np.bincount(rank[seen]))
