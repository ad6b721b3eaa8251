"""What it takes to send a generator from one device to another."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

Route = Literal["server", "direct", "stored"]

WAYS = {"server": 2, "direct": 1, "stored": 1}
"""How often a generator crosses a link on each route, and is delayed."""


def exchange_seconds(
    size_bytes: float, uplink: Any, downlink: Any, latency_s: float, route: Route
) -> Any:
    """Shape (D, D): seconds from device j (column) to device i (row), at the full links.

    Through the server it is there before it goes on, ``8 b / up_j + 8 b / down_i + 2 l``; direct it
    goes at the slower link, ``8 b / min(up_j, down_i) + l``; stored at the server it only goes
    down, ``8 b / down_i + l``.

    Parameters
    ----------
    size_bytes
        Of a generator.
    uplink, downlink
        Shape (D,): rates in bit/s.
    latency_s
        Delay on each way.
    route
        See `WAYS`.
    """
    bits = 8.0 * size_bytes
    up, down = np.asarray(uplink)[None, :], np.asarray(downlink)[:, None]
    delay = WAYS[route] * latency_s
    if route == "server":
        return bits / up + bits / down + delay
    if route == "direct":
        return bits / np.minimum(up, down) + delay
    return bits / down + 0.0 * up + delay
