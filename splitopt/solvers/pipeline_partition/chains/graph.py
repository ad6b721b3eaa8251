"""The states of a growing chain, and the moves between them, as arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from splitopt.problems.base import IntArray
from splitopt.solvers.pipeline_partition.chains.state import Graph


def sizes(count: IntArray, classes: IntArray, order: str) -> tuple[int, int]:
    """Count groups and, from above, vertices without laying them out."""
    groups, width = 1, int(classes[-1]) + 1
    if order == "given":
        return len(count) + 1, len(count) + 1
    for number in count.tolist():
        groups *= number + 1
    return groups, groups * width


def free_graph(count: IntArray, classes: IntArray, use_all: bool) -> Graph:
    """Lay out chains that may take T kinds of nodes in any order.

    Parameters
    ----------
    count, classes
        Shape (T,): nodes of each kind, and its link class; kinds are sorted by class.
    use_all
        Whether a chain must take every node.
    """
    kinds, width = len(count), int(classes[-1]) + 1
    base = count + 1
    stride = np.concatenate(([1], np.cumprod(base[:-1])))
    groups = int(stride[-1] * base[-1])
    used = (np.arange(groups)[:, None] // stride) % base
    if width == kinds:
        present = used > 0
    else:
        present = np.zeros((groups, width), dtype=np.bool_)
        for kind in range(kinds):
            present[:, classes[kind]] |= used[:, kind] > 0
    vertex = np.cumsum(present).reshape(present.shape)  # vertex 0 is the empty chain
    group, klass = np.nonzero(present)
    source, added = np.nonzero(used < count)
    accept = np.ones(len(group) + 1, dtype=np.bool_)
    accept[0] = False
    if use_all:
        accept[1:] = group == groups - 1
    group_first = np.zeros(groups + 1, dtype=np.int32)
    group_first[1:] = vertex[:, -1] + 1
    return _graph(
        (group_first, np.searchsorted(source, np.arange(groups + 1))),
        (np.concatenate(([width], klass)), accept),
        (added, vertex[source + stride[added], classes[added]]),
    )


def given_graph(classes: IntArray, use_all: bool) -> Graph:
    """Lay out chains that take N nodes by rising index.

    Parameters
    ----------
    classes
        Shape (N,): link class of each node.
    use_all
        Whether a chain must take every node.
    """
    nodes = len(classes)
    every = np.arange(nodes + 1)
    if use_all:
        source = kind = np.arange(nodes)
    else:
        source, kind = np.triu_indices(nodes)
        source, kind = source.astype(np.int64), kind.astype(np.int64)
    accept = every > 0
    if use_all:
        accept = every == nodes
    return _graph(
        (np.arange(nodes + 2), np.searchsorted(source, np.arange(nodes + 2))),
        (np.concatenate(([classes.max() + 1], classes)), accept),
        (kind, kind + 1),
    )


def _graph(*parts: tuple[npt.ArrayLike, npt.ArrayLike]) -> Graph:
    """Stack the pairs of arrays of groups, vertices and moves."""
    return Graph(*(np.array(pair, dtype=np.int32) for pair in parts))
