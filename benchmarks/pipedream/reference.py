"""PipeDream's optimizer without replication: a dynamic program over states of the graph.

A state is a set of operators that is closed under predecessors: what the stages so far compute.
With m machines a state is reached in

    A(state, m) = min over a smaller state of
                  max(A(smaller, m - 1), 2 x bytes alive behind smaller / bandwidth,
                      seconds of the operators between the two),

activations going forward and gradients of the same size going back over one link, in turn. The
answer is the least A(all operators, m) over m up to the machines that there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.pipedream.graphs import Operators

MOST_STATES = 4_000

FloatArray = npt.NDArray[np.float64]


def states(graph: Operators) -> tuple[list[int], bool]:
    """List the states by size, and whether they are all.

    Where there are more than `MOST_STATES` it lists the prefixes of three orders of execution
    instead: by number, depth first, and breadth first.
    """
    found, front = {0}, [0]
    while front and len(found) <= MOST_STATES:
        grown = {state | 1 << n for state in front for n in _ready(graph, state)} - found
        found |= grown
        front = list(grown)
    complete = len(found) <= MOST_STATES
    if not complete:
        found = {state for rule in (0, 1, 2) for state in _prefixes(graph, rule)}
    return sorted(found, key=int.bit_count), complete


def _ready(graph: Operators, state: int) -> list[int]:
    size = len(graph.before)
    return [n for n in range(size) if not state >> n & 1 and not graph.before[n] & ~state]


def _prefixes(graph: Operators, rule: int) -> list[int]:
    """List the prefixes of an order: 0 by number, 1 the latest ready, 2 the earliest ready."""
    state, found = 0, [0]
    waiting: list[int] = []
    while len(found) <= len(graph.before):
        waiting += [n for n in _ready(graph, state) if n not in waiting]
        chosen = waiting.pop({1: -1, 2: 0}.get(rule, waiting.index(min(waiting))))
        state |= 1 << chosen
        found.append(state)
    return found


def least_period(graph: Operators, listed: Sequence[int], bandwidth: float, machines: int) -> float:
    """Return the least seconds from one batch to the next, over up to so many equal machines."""
    size = len(graph.seconds)
    held = np.array([[state >> n & 1 for n in range(size)] for state in listed], dtype=np.bool_)
    work: FloatArray = held @ np.array(graph.seconds)
    alive = np.array([_alive(graph, state) for state in listed])
    within = held.astype(np.float32) @ (~held).astype(np.float32).T < 0.5  # [a, b]: a is in b
    stage = np.where(within, work[None, :] - work[:, None], np.inf)
    send = 2.0 * alive / bandwidth
    reached = np.full(len(listed), np.inf)
    reached[0] = 0.0
    best = np.inf
    for _ in range(machines):
        before = np.maximum(reached, send)
        reached = np.maximum(before[:, None], stage).min(axis=0)
        best = min(best, float(reached[-1]))
    return best


def _alive(graph: Operators, state: int) -> float:
    """Bytes that operators within a state put out and others outside take."""
    size = len(graph.sizes)
    return sum(graph.sizes[n] for n in range(size) if state >> n & 1 and graph.after[n] & ~state)
