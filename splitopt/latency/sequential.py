"""Split learning one device after the other (DP-MORA section 7.1, SplitFed1 and SplitFed2).

A device works through its whole round (model down, all epochs, model up) before the next one
starts, so that a round takes the sum of the devices' rounds. The paper leaves open what a device
gets of the links and the server while it runs alone; both readings are here:

* its share is kept for it all the time, also while others run (the paper's numbers are these);
* all of it is its own while it runs.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.split_federated import PhaseSeconds, round_latency


class SequentialRound(NamedTuple):
    """When each device starts and finishes within a round, shape (N,), in s, in device order."""

    start: Any
    finish: Any

    @property
    def round_s(self) -> Any:
        """Length of the round: when the last device finishes."""
        return self.finish.max()

    @property
    def wait_for_turn(self) -> Any:
        """Shape (N,): s from the start of the round until the device's turn.

        DP-MORA's Tables 2 and 3 print this as the waiting latency of SF1AF and SF2AF.
        """
        return self.start

    @property
    def wait_for_last(self) -> Any:
        """Shape (N,): s from the device's own upload to the last one, as the paper's text says."""
        return self.finish.max() - self.finish


def wait_for_last(latency: Any) -> Any:
    """Shape (N,): s that each device waits for the slowest one when all run at the same time.

    DP-MORA's waiting latency of the parallel schemes (section 7.2, item 2), for latencies (N,).
    """
    return latency.max() - latency


def sequential_round(
    seconds: PhaseSeconds,
    cut: Any,
    share: Any = None,
    order: Any = None,
    xp: ModuleType = np,
) -> SequentialRound:
    """Run the devices one after the other.

    Parameters
    ----------
    seconds
        Seconds of every device and cut at the full resource.
    cut
        Shape (N,), 1..L: the cuts; they may differ (SplitFed2) or not (SplitFed1).
    share
        Shape (N,) or (N, 3) (download, upload, server): what each device keeps of the resources.
        None gives each device all of them while it runs.
    order
        Shape (N,): the devices in the order in which they run; by their number if None.
    xp
        Array namespace, `numpy` or `jax.numpy`.

    Raises
    ------
    InputError
        The order is not one of all devices.
    """
    devices = len(seconds.device)
    order = np.arange(devices) if order is None else np.asarray(order)
    if sorted(order.tolist()) != list(range(devices)):
        raise InputError.at("order", f"must name each of the devices 0..{devices - 1} once")
    latency = device_round(seconds, cut, share, xp)
    place = np.argsort(order)
    finish = xp.cumsum(latency[order])[place]
    return SequentialRound(finish - latency, finish)


def phases_in_turn(seconds: PhaseSeconds, cuts: Any) -> Any:
    """Shape (K, 4): s of a round by phase at K common cuts, each device alone with all resources.

    The phases are download, device, upload and server; they add up to the round.
    """
    at = seconds.at(np.asarray(cuts) - 1)
    tables = (at.download, at.device, at.upload, at.server)
    return np.stack([table.sum(axis=0) for table in tables], axis=1)


def device_round(seconds: PhaseSeconds, cut: Any, share: Any = None, xp: ModuleType = np) -> Any:
    """Shape (N,): seconds of each device's round at its cut and share (Eq. 12), as above.

    Infinite where a device lacks a share that it needs.
    """
    rows, column = xp.arange(len(seconds.device)), xp.asarray(cut) - 1
    tables = (seconds.download, seconds.upload, seconds.server, seconds.device)
    full = xp.stack([table[rows, column] for table in tables], axis=1)
    part = xp.ones(1) if share is None else xp.asarray(share)
    part = part[:, None] if part.ndim == 1 else part
    starved = ((full[:, :3] > 0) & (part <= 0)).any(axis=1)
    return xp.where(starved, xp.inf, round_latency(full, xp.where(part > 0, part, 1.0)))
