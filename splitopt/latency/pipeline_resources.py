"""Busy seconds per batch of every resource of a pipeline, and the trip of one batch through it.

A batch passes the nodes i_1..i_M forward and backward. Every node, link and interface is busy for
some seconds per batch; when owners keep the pipeline full, the largest of them is the time from one
batch to the next. MP-SL (section 4.1) has the nodes' seconds only, and adds the largest forward
time to the largest backward time (Eq. 3), which no single node has to spend.

All functions work along the last axis and take any number of leading axes.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np


def transfer_seconds(volume_bytes: Any, rate_bytes_per_s: Any, xp: ModuleType = np) -> Any:
    """Seconds of a transfer: 0 for no bytes, infinite where bytes have no link (rate 0)."""
    safe = xp.where(rate_bytes_per_s > 0, rate_bytes_per_s, 1.0)
    seconds = xp.where(rate_bytes_per_s > 0, volume_bytes / safe, np.inf)
    return xp.where(volume_bytes > 0, seconds, 0.0)


def link_seconds(up_s: Any, down_s: Any, duplex: str, xp: ModuleType = np) -> Any:
    """Busy seconds per batch of a link whose two directions take `up_s` and `down_s`."""
    return up_s + down_s if duplex == "half" else xp.maximum(up_s, down_s)


def interface_seconds(
    up_bytes: Any, down_bytes: Any, rate_bytes_per_s: Any, duplex: str, xp: ModuleType = np
) -> Any:
    """Busy seconds per batch of the interfaces of M nodes in a chain, shape (..., M).

    Parameters
    ----------
    up_bytes, down_bytes
        Shape (..., M + 1): forward and backward bytes per batch at the chain's boundaries; the
        first and the last are those between owner and node.
    rate_bytes_per_s
        Shape (..., M): of each node's interface.
    duplex
        ``"full"``: receiving and sending overlap; ``"half"``: they take turns.
    """
    received = up_bytes[..., :-1] + down_bytes[..., 1:]
    sent = up_bytes[..., 1:] + down_bytes[..., :-1]
    volume = received + sent if duplex == "half" else xp.maximum(received, sent)
    return volume / rate_bytes_per_s


def channel_seconds(moved_s: Any, batches: Any, xp: ModuleType = np) -> Any:
    """Busy seconds per batch of a channel that all owners share, shape (...).

    Parameters
    ----------
    moved_s
        Shape (..., K): what a batch of each owner occupies it for.
    batches
        Shape (..., K): how many batches the owners have, by which their seconds are averaged.
    """
    return (batches * xp.asarray(moved_s)).sum(axis=-1) / batches.sum(axis=-1)
