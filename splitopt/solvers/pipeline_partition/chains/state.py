"""What the search works on: the arrays of a problem, and the room for what a cap allows.

Compiled loops get these arrays in small tuples of what they need together. Each array has one type
whatever the problem, so that a loop is compiled once; what belongs together and has the same shape
is stacked along a first axis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.problems.base import FloatArray, IntArray

Index = npt.NDArray[np.int32]

LINKS, NIC_FULL, NIC_HALF, SERIAL_FULL, SERIAL_HALF = range(5)
"""What a node is busy with: computing, or also its interface, beside it or in turn with it."""

_WIDE = 2.0**50
"""How many times a value a layer can be before sums in twice the precision lose its last bits."""


class Graph(NamedTuple):
    """The states of a growing chain: G groups of V vertices, and M moves between them.

    A group is a set of used nodes; its vertices tell the link class of the last one. Vertex 0,
    alone in group 0, is the empty chain. A move adds a node and leads to a later group.
    """

    groups: Index
    """(2, G + 1): the first vertex of each group, and the first move out of it. Moves of a group
    to one link class are neighbours."""
    vertices: Index
    """(2, V): link class of the last node (K for the empty chain); 1 if the chain may end here."""
    moves: Index
    """(2, M): kind of the node that is added, and the vertex that this leads to."""


class Nodes(NamedTuple):
    """What the seconds of a run of layers on a node follow from; fields as in `Chains`."""

    sums: FloatArray
    interface: int
    rate: FloatArray
    cut_bytes: FloatArray


class LinkTables(NamedTuple):
    """What the seconds of a link between two nodes follow from; fields as in `Chains`."""

    kind_class: Index
    row: Index
    link_s: FloatArray


class Chains(NamedTuple):
    """Everything that does not depend on a cap.

    S layers, T kinds of nodes, K link classes, R rows of links (row 0 is free: from the owner to
    the first node).
    """

    sums: FloatArray
    """(P, 2, T, S + 1): seconds of the layers before each, as a pair of floats that together have
    twice the precision. Table 0 counts forward and backward; for Eq. 3 of MP-SL, tables 1 and 2
    count forward and backward alone, each with a cap of its own."""
    layer_s: FloatArray
    """(T, S): seconds of each layer, infinite where it is never put."""
    memory_end: Index
    """(T, S + 1): where the longest run from each layer that fits the memory ends."""
    interface: int
    """`LINKS`, `NIC_FULL`, ..."""
    rate: FloatArray
    """(T,): byte/s of a node's interface."""
    cut_bytes: FloatArray
    """(2, S + 1): bytes over each boundary, forward and backward."""
    kind_class: Index
    """(T,): link class of each kind."""
    row: Index
    """(K + 1, K): row of the link from class to class; the last line is from the owner."""
    link_s: FloatArray
    """(2, R, S + 1): what a link is busy for at each boundary, and what it adds to the trip."""
    levels: FloatArray
    """The different busy seconds of links, rising."""
    graph: Graph

    @property
    def nodes(self) -> Nodes:
        """The part on runs of layers."""
        return Nodes(self.sums, self.interface, self.rate, self.cut_bytes)

    @property
    def links(self) -> LinkTables:
        """The part on links."""
        return LinkTables(self.kind_class, self.row, self.link_s)

    @property
    def layers(self) -> int:
        """Number of layers S."""
        return int(self.layer_s.shape[1])

    def drowns(self, value_s: float) -> bool:
        """Whether some layers are so slow that sums near a value lose digits to them."""
        layers = self.layer_s[np.isfinite(self.layer_s)]
        return float(layers.max(initial=0.0)) > _WIDE * value_s

    def largest(self, table: int, kinds: IntArray, cuts: IntArray) -> float:
        """Return the largest sum of a chain's runs in a table, to the bit as the loops have it.

        Parameters
        ----------
        kinds, cuts
            The kinds of a chain's nodes and where their runs end, in reverse.
        """
        high, low = self.sums[table]
        begin = np.append(cuts[1:], 0)
        runs = (high[kinds, cuts] - high[kinds, begin]) + (low[kinds, cuts] - low[kinds, begin])
        return float(runs.max())


class Windows(NamedTuple):
    """Room for what a cap allows, made once and filled for cap after cap."""

    spans: Index
    """(3, T, S + 1): `ends`, `far` and `near`, see `spans`."""
    crossings: Index
    """(2, R, S + 1): nearest boundaries below and above that a link can carry."""
    reach: Index
    """(2, V): the last boundary that a vertex can be at, and the first at which it is of use."""
    offset: IntArray
    """(V + 1,): where its window begins when all stand in one array."""

    @classmethod
    def of(cls, chains: Chains) -> Windows:
        """Make room for a problem."""
        vertices = chains.graph.vertices.shape[1]
        rows, width = chains.link_s.shape[1:]
        return cls(
            np.empty((3, len(chains.layer_s), width), dtype=np.int32),
            np.empty((2, rows, width), dtype=np.int32),
            np.empty((2, vertices), dtype=np.int32),
            np.empty(vertices + 1, dtype=np.int64),
        )

    @property
    def places(self) -> int:
        """How many pairs of a vertex and a boundary in its window there are."""
        return int(self.offset[-1])
