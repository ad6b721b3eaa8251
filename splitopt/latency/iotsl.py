"""What IoTSL's Algorithm 1 takes, step by step: bytes, FLOP, joule and seconds.

Devices train their generators side by side; all that crosses links, and all turns of split
learning, come one after the other, each with the whole link and the whole server. Arrays have a
number for each device, shape (D,). Energy is that of `splitopt.latency.energy`; NaN is an unknown
power, and what follows from it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from splitopt.latency.energy import device_energy


class Cost(NamedTuple):
    """What a step takes.

    Parameters
    ----------
    bytes
        That cross links, each link counted.
    device_flop, device_j
        Shape (D,): work and joule of the devices.
    server_flop, edge_flop, edge_j
        Work of the server, and work and joule of the edge machine.
    seconds
        Until the step is done.
    """

    bytes: float
    device_flop: Any
    device_j: Any
    server_flop: float = 0.0
    edge_flop: float = 0.0
    edge_j: float = 0.0
    seconds: float = 0.0

    def times(self, factor: float) -> Cost:
        """Return the cost of the step `factor` times."""
        return Cost(*(factor * part for part in self))

    def plus(self, other: Cost) -> Cost:
        """Return the cost of both steps, one after the other."""
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))


class Fleet(NamedTuple):
    """The devices, shape (D,) each: speed in FLOP/s, rates in bit/s, powers in W (NaN: unknown)."""

    compute: Any
    uplink: Any
    downlink: Any
    compute_w: Any
    radio_w: Any


class Edge(NamedTuple):
    """The machine at the edge: speed in FLOP/s, rate of its link in bit/s, power in W or NaN."""

    compute: float
    rate: float
    power: float


class Turn(NamedTuple):
    """A turn of split learning by device, shape (D,) each.

    Seconds of download, device, upload and server, bytes, and FLOP of device and server.
    """

    download_s: Any
    device_s: Any
    upload_s: Any
    server_s: Any
    bytes: Any
    device_flop: Any
    server_flop: Any


def turns_cost(fleet: Fleet, turn: Turn, count: Any) -> Cost:
    """Compute the cost of turns of split learning, shape (D,) of them, one after the other."""
    seconds = turn.download_s + turn.device_s + turn.upload_s + turn.server_s
    joule = device_energy(fleet.compute_w, turn.device_s, fleet.radio_w, turn.upload_s)
    return Cost(
        bytes=float((count * turn.bytes).sum()),
        device_flop=count * turn.device_flop,
        device_j=count * joule,
        server_flop=float((count * turn.server_flop).sum()),
        seconds=float((count * seconds).sum()),
    )


def on_devices(fleet: Fleet, flop: Any) -> Cost:
    """Compute the cost of work (D,) that all devices do side by side: the slowest one decides."""
    seconds = flop / fleet.compute
    return Cost(
        bytes=0.0,
        device_flop=flop,
        device_j=device_energy(fleet.compute_w, seconds, fleet.radio_w, 0.0),
        seconds=float(seconds.max()),
    )


def at_edge(fleet: Fleet, edge: Edge, flop: Any) -> Cost:
    """Compute the cost of work (D,) that the edge machine does, one generator after the other."""
    total = float(flop.sum())
    seconds = total / edge.compute
    return _of_nobody(fleet, edge_flop=total, edge_j=edge.power * seconds, seconds=seconds)


def at_server(fleet: Fleet, flop: float, speed: float) -> Cost:
    """Compute the cost of work of the server."""
    return _of_nobody(fleet, server_flop=flop, seconds=flop / speed)


def sent_up(fleet: Fleet, size: Any, rate: float = np.inf) -> Cost:
    """Compute the cost of bytes (D,) that devices send, at most at a rate in bit/s."""
    seconds = 8.0 * size / np.minimum(fleet.uplink, rate)
    return Cost(
        bytes=float(size.sum()),
        device_flop=np.zeros(len(fleet.compute)),
        device_j=device_energy(fleet.compute_w, 0.0, fleet.radio_w, seconds),
        seconds=float(seconds.sum()),
    )


def sent_down(fleet: Fleet, size: Any, delay_s: Any = 0.0) -> Cost:
    """Compute the cost of bytes (D,) that devices receive, and delays (D,) on the way."""
    seconds = float((8.0 * size / fleet.downlink + delay_s).sum())
    return _of_nobody(fleet, bytes=float(np.sum(size)), seconds=seconds)


def sent_by_edge(fleet: Fleet, edge: Edge, size: float) -> Cost:
    """Compute the cost of bytes that the edge machine sends over its link."""
    return _of_nobody(fleet, bytes=size, seconds=8.0 * size / edge.rate)


def sent_between(fleet: Fleet, size: float, pairs: tuple[Any, Any], delay_s: float) -> Cost:
    """Compute the cost of one file from each sender straight to its receiver.

    Parameters
    ----------
    size
        Of the file in bytes.
    pairs
        Receivers and senders, shape (K,) each.
    delay_s
        On each way.
    """
    receivers, senders = pairs
    rate = np.minimum(fleet.uplink[senders], fleet.downlink[receivers])
    on_air = np.bincount(senders, 8.0 * size / rate, minlength=len(fleet.compute))
    return Cost(
        bytes=size * len(senders),
        device_flop=np.zeros(len(fleet.compute)),
        device_j=device_energy(fleet.compute_w, 0.0, fleet.radio_w, on_air),
        seconds=float(on_air.sum()) + delay_s * len(senders),
    )


def _of_nobody(fleet: Fleet, bytes: float = 0.0, **others: float) -> Cost:  # noqa: A002
    """Return a cost in which devices neither compute nor send."""
    nothing = np.zeros(len(fleet.compute))
    return Cost(bytes=bytes, device_flop=nothing, device_j=nothing, **others)
