"""What a chain of nodes has to do per batch: the seconds of every resource, and the trip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.latency.pipeline_resources import (
    interface_seconds,
    link_seconds,
    transfer_seconds,
)
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.pipeline_partition.data import PipelinePartitionData
from splitopt.problems.pipeline_partition.decision import Chain


@dataclass(frozen=True, eq=False)
class Load:
    """Seconds per batch along a chain of M nodes.

    Parameters
    ----------
    nodes
        Shape (M,): node indices in the order of the chain.
    boundaries
        Shape (M + 1,): where their layers begin and end.
    forward_s, backward_s
        Shape (M,): computing.
    up_s, down_s
        Shape (M - 1,): a batch's transfers over the inner boundaries, forward and backward.
    delay_s
        Shape (M - 1,): propagation latency of these two transfers together.
    owner_s
        The four transfers between owner and pipeline with their propagation latency.
    node_s
        Shape (M,): what each node is busy for; with ``serial`` links that includes its interface.
    link_s
        Shape (M - 1,) for ``uniform`` and ``pairwise`` links, otherwise empty.
    interface_s
        Shape (M,) for ``nic``, otherwise empty.
    """

    nodes: IntArray
    boundaries: IntArray
    forward_s: FloatArray
    backward_s: FloatArray
    up_s: FloatArray
    down_s: FloatArray
    delay_s: FloatArray
    owner_s: float
    node_s: FloatArray
    link_s: FloatArray
    interface_s: FloatArray

    @property
    def period_s(self) -> float:
        """Seconds from one batch to the next in a full pipeline: the busiest resource."""
        return float(max(part.max(initial=0.0) for part in self._resources))

    @property
    def paper_s(self) -> float:
        """Largest forward plus largest backward time (MP-SL Eq. 3)."""
        return float(self.forward_s.max() + self.backward_s.max())

    @cached_property
    def latency_s(self) -> float:
        """Seconds of one batch through an empty pipeline, from owner to owner."""
        return math.fsum([self.owner_s, *self._stops])

    @cached_property
    def chain_s(self) -> float:
        """Seconds of one batch over nodes and the links between them, without the owners."""
        return math.fsum(self._stops)

    @property
    def _stops(self) -> list[float]:
        parts = (self.forward_s, self.backward_s, self.up_s, self.down_s, self.delay_s)
        return [value for part in parts for value in part.tolist()]

    def binding(self) -> dict[str, Any]:
        """Name the resource that sets the period, the first one of several.

        Returns
        -------
        ``{"kind": "node" | "interface", "index": node, "busy_s": seconds}`` or
        ``{"kind": "link", "between": [node, node], "boundary": boundary, "busy_s": seconds}``.
        """
        period = self.period_s
        for kind, part in zip(("node", "link", "interface"), self._resources, strict=True):
            for place in np.flatnonzero(part == period):
                if kind == "link":
                    between = self.nodes[place : place + 2].tolist()
                    boundary = int(self.boundaries[place + 1])
                    return {
                        "kind": kind,
                        "between": between,
                        "boundary": boundary,
                        "busy_s": period,
                    }
                return {"kind": kind, "index": int(self.nodes[place]), "busy_s": period}
        raise AssertionError("the period is the seconds of some resource")

    @property
    def _resources(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self.node_s, self.link_s, self.interface_s


def load_of(problem: PipelinePartitionData, chain: Chain) -> Load:
    """Work out the seconds of a chain; sums of times are rounded once."""
    nodes, ends, links = chain.nodes, chain.boundaries, problem.links
    forward = _sums(problem.forward_s, chain)
    backward = _sums(problem.backward_s, chain)
    up_bytes, down_bytes = problem.cut_up_bytes[ends], problem.cut_down_bytes[ends]
    left, right = nodes[:-1], nodes[1:]
    up = transfer_seconds(up_bytes[1:-1], links.rates[left, right])
    down = transfer_seconds(down_bytes[1:-1], links.rates[right, left])
    delay = links.delays_s[left, right] + links.delays_s[right, left]
    node, link, interface = forward + backward, np.zeros(0), np.zeros(0)
    if (rates := links.interface_rates) is not None:
        interface = interface_seconds(up_bytes, down_bytes, rates[nodes], links.duplex)
        if links.model == "serial":
            node, interface = node + interface, np.zeros(0)
    elif not links.costs_nothing:
        link = link_seconds(up, down, links.duplex)
    return Load(
        nodes=nodes,
        boundaries=ends,
        forward_s=forward,
        backward_s=backward,
        up_s=up,
        down_s=down,
        delay_s=delay,
        owner_s=problem.owner_transfers_s,
        node_s=node,
        link_s=link,
        interface_s=interface,
    )


def _sums(table: FloatArray, chain: Chain) -> FloatArray:
    """Sum each run's columns of its node's row, rounded once."""
    runs = zip(chain.nodes, chain.boundaries[:-1], chain.boundaries[1:], strict=True)
    return np.array([math.fsum(table[node, start:end].tolist()) for node, start, end in runs])
