"""How long the links, interfaces and nodes of a pipeline are busy with one batch.

The link models between the nodes of a chain:

* ``uniform``, ``pairwise``: every boundary has a link of its own, in both directions at once
  (full duplex) or as one medium (half duplex);
* ``nic``: a node has one interface for both of its neighbours and the owners;
* ``serial``: the same, and the node cannot compute while it communicates.

The rules for arrays are those of `splitopt.latency.pipeline`.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def transfer_seconds(size_bytes: Any, rate: Any, xp: Any = np) -> Any:
    """Give size / rate in s, broadcast; nothing takes no time, and no link (0 B/s) takes forever.

    `rate` is in byte/s. The gradient is finite also where the rate is 0 or infinite.
    """
    size, rate = xp.asarray(size_bytes), xp.asarray(rate)
    cut_off = (rate <= 0) & (size > 0)
    seconds = xp.where(size > 0, size, 0.0) / xp.where(rate > 0, rate, 1.0)
    return xp.where(cut_off, xp.inf, seconds)


def link_busy(up_s: Any, down_s: Any, half_duplex: bool = False, xp: Any = np) -> Any:
    """Shape of the arguments: s that a link is busy with one batch.

    With half duplex both directions share one medium; else the slower direction counts.
    """
    return up_s + down_s if half_duplex else xp.maximum(up_s, down_s)


def interface_busy(
    up_bytes: Any, down_bytes: Any, bandwidth: Any, half_duplex: bool = False, xp: Any = np
) -> Any:
    """Shape (..., M): s that the interface of each node of a chain is busy with one batch.

    Parameters
    ----------
    up_bytes, down_bytes
        Shape (..., M + 1): activations and gradients of a batch over each boundary of the chain,
        from the owner to the first node (0) to the last node to the owner (M).
    bandwidth
        Shape (..., M): byte/s of each node's own interface.
    half_duplex
        Whether sending and receiving exclude each other.
    """
    received = up_bytes[..., :-1] + down_bytes[..., 1:]
    sent = up_bytes[..., 1:] + down_bytes[..., :-1]
    moved = received + sent if half_duplex else xp.maximum(received, sent)
    return transfer_seconds(moved, bandwidth, xp)


def serial_node_busy(compute_s: Any, interface_busy_s: Any) -> Any:
    """Shape (..., M): s that a node is busy which cannot compute while it communicates."""
    return compute_s + interface_busy_s


def busiest(*busy_s: Any, xp: Any = np) -> Any:
    """Shape (...): the period, the largest of all busy times, each of shape (..., any)."""
    kept = [part for part in map(xp.asarray, busy_s) if part.shape[-1]]
    return xp.concatenate(kept, axis=-1).max(axis=-1)
