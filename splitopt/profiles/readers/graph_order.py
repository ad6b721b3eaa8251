"""In which order to execute a graph so that a pipeline can be cut out of it well.

Every prefix of an order of execution is a place where a chain of machines can be cut. Of all orders
a few are natural, and the best chain may take one cut from one of them and the next from another.
`chain_order` looks for the best chain of equal machines among all prefixes of some orders, by the
dynamic program of PipeDream's optimizer (SOSP 2019, section 3.1, without replication), and gives an
order that has all of its cuts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.profiles.readers.graph import Graph

MOST_ENTRIES = 2**25
"""Pairs of prefixes that are compared; with more of them fewer orders are looked at."""

BoolArray = npt.NDArray[np.bool_]


class EqualChain(NamedTuple):
    """A chain of machines that are alike.

    Parameters
    ----------
    machines
        How many there are; not all need be used.
    bytes_per_s
        Of the link between two neighbours: what crosses a cut forward, per second for which the
        link is busy with it and with its gradients.
    """

    machines: int
    bytes_per_s: float


def chain_order(graph: Graph, chain: EqualChain) -> list[int]:
    """Return places of the graph's nodes in a topological order that suits the chain."""
    size = len(graph.nodes)
    held = _prefixes(graph)
    seconds = np.array([node.forward_s + node.backward_s for node in graph.nodes])
    work = held @ seconds
    send = _alive(graph, held) / chain.bytes_per_s
    outside = (held.astype(np.float32) @ (~held).astype(np.float32).T) > 0.5
    stage = np.where(outside, np.inf, work[None, :] - work[:, None])
    reached = np.full(len(held), np.inf)
    reached[0] = 0.0
    parents, values = [], []
    for _ in range(min(chain.machines, size)):
        before = np.maximum(reached, send)
        table = np.maximum(before[:, None], stage)
        parents.append(table.argmin(axis=0))
        reached = table[parents[-1], np.arange(len(held))]
        values.append(reached[-1])
    states = [len(held) - 1]
    for parent in reversed(parents[: int(np.argmin(values)) + 1]):
        states.append(int(parent[states[-1]]))
    found: list[int] = []
    for state in reversed(states[:-1]):
        done = np.zeros(size, dtype=np.bool_)
        done[found] = True
        found += np.flatnonzero(held[state] & ~done).tolist()
    return found


def _prefixes(graph: Graph) -> BoolArray:
    """Shape (P, n): the different prefixes of some orders, the empty one first, all nodes last."""
    size = len(graph.nodes)
    most = max(1, int(MOST_ENTRIES**0.5) // (size + 1))
    rows = [
        np.tril(np.ones((size + 1, size), dtype=np.bool_), -1)[:, np.argsort(order)]
        for order in list(_orders(graph))[:most]
    ]
    every = np.unique(np.concatenate(rows), axis=0)
    return np.asarray(every[np.argsort(every.sum(axis=1), kind="stable")])


def _orders(graph: Graph) -> Iterator[list[int]]:
    """Yield topological orders: by number and row of the file, and some ways to walk the graph.

    The walks are breadth first, depth first, and least alive first.
    """
    rows = [node.row for node in graph.nodes]
    yield list(range(len(graph.nodes)))
    yield _order(graph, lambda waiting, _: min(waiting, key=lambda place: rows[place]))
    yield _order(graph, lambda waiting, _: waiting[0])
    yield _order(graph, lambda waiting, _: waiting[-1])
    sizes, users = [node.activation_bytes for node in graph.nodes], _users(graph)

    def grown(place: int, left: Sequence[int]) -> float:
        freed = sum(sizes[feed] for feed in set(graph.feeds[place]) if left[feed] == 1)
        return (sizes[place] if users[place] else 0.0) - freed

    yield _order(graph, lambda waiting, left: min(waiting, key=lambda place: grown(place, left)))


def _order(graph: Graph, pick: Callable[[list[int], Sequence[int]], int]) -> list[int]:
    """Execute one node after the other of those that are ready.

    Parameters
    ----------
    pick
        Takes the ready nodes, those that became ready first in front, and for each node how many
        of its users are left.
    """
    users = _users(graph)
    missing = [len(set(feeds)) for feeds in graph.feeds]
    left = [len(own) for own in users]
    waiting = [place for place, count in enumerate(missing) if count == 0]
    found = []
    while waiting:
        place = pick(waiting, left)
        waiting.remove(place)
        found.append(place)
        for feed in set(graph.feeds[place]):
            left[feed] -= 1
        for user in users[place]:
            missing[user] -= 1
            if missing[user] == 0:
                waiting.append(user)
    return found


def _users(graph: Graph) -> list[list[int]]:
    """For each node, the nodes that take its tensor, as the file lists them."""
    found: list[list[int]] = [[] for _ in graph.nodes]
    for place, feeds in enumerate(graph.feeds):
        for feed in set(feeds):
            found[feed].append(place)
    return [sorted(users, key=lambda place: graph.nodes[place].row) for users in found]


def _alive(graph: Graph, held: BoolArray) -> npt.NDArray[np.float64]:
    """Shape (P,): bytes that nodes in a prefix put out and nodes behind it take."""
    wanted = np.zeros_like(held)
    for place, users in enumerate(_users(graph)):
        if users:
            wanted[:, place] = held[:, place] & ~held[:, users].all(axis=1)
    return np.asarray(wanted @ np.array([node.activation_bytes for node in graph.nodes]))
