"""What a stage of a pipeline takes: seconds of a micro-batch, and memory of each of its devices.

A stage of the layers i..j - 1 has R devices, g_t of type t, and D devices serve its layers and
those behind them. Micro-batches are dealt to its devices in proportion to their speed: where one
alone takes w_t seconds, a device does the share ``f_t = (1 / w_t) / sum_t g_t / w_t`` of them, and
the stage is through with one every ``1 / sum_t g_t / w_t`` seconds. In an all-reduce over a ring
every device sends ``2 (R - 1) / R`` times the weights and receives as much, once per step, or once
per R micro-batches where weights are updated all the time (PipeDream, Narayanan et al. 2019,
section 3.1).

Micro-batches in flight are D under 1F1B, where a stage admits as many as there are devices from it
to the end (PipeDream, section 3.2, in which the first stage admits ``ceil(D / R)`` for each
replica); never more than the micro-batches of a step where that ends with a flush; and all of these
under GPipe (Huang et al. 2019). A device holds its share of them, rounded up.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from splitopt.problems.base import FEASIBILITY_TOLERANCE, BoolArray, FloatArray, IntArray
from splitopt.problems.replicated_pipeline.data import ReplicatedPipelineData

ROUNDING = 1e-9
"""A share that exceeds a whole number by less does so by rounding."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A stage with its times in s and its memory in byte.

    Parameters
    ----------
    first_layer, last_layer
        Indices from 0.
    devices
        Shape (T,): devices of each type.
    recompute
        Whether activations are computed again in the backward pass.
    compute_s
        Shape (T,): forward, backward and recompute of a micro-batch on one device of each type.
    transfer_s
        Shape (T,): what the interface of one device takes for the micro-batch's activations and
        gradients, received and sent.
    shares
        Shape (T,): part of the micro-batches that a device of each type does, 0 where there is
        none.
    dealt_s
        Seconds from one micro-batch to the next, all-reduce apart.
    all_reduce_s
        All-reduce of the weights, per micro-batch.
    period_s
        Seconds from one micro-batch to the next.
    in_flight
        Micro-batches that are in the stage or behind it at the same time.
    copies
        Shape (T,): how many of these a device of each type holds.
    memory_bytes, room_bytes
        Shape (T,): what a device of each type needs, 0 where there is none, and what it has beside
        its reserve.
    """

    first_layer: int
    last_layer: int
    devices: IntArray
    recompute: bool
    compute_s: FloatArray
    transfer_s: FloatArray
    shares: FloatArray
    dealt_s: float
    all_reduce_s: float
    period_s: float
    in_flight: int
    copies: IntArray
    memory_bytes: FloatArray
    room_bytes: FloatArray

    @property
    def fits(self) -> BoolArray:
        """Shape (T,): whether memory is enough, within the tolerance of violations."""
        return np.asarray(self.excess_bytes == 0)

    @property
    def excess_bytes(self) -> FloatArray:
        """Shape (T,): memory that is missing on a device of each type, 0 within the tolerance."""
        over = self.memory_bytes > self.room_bytes * (1 + FEASIBILITY_TOLERANCE)
        return np.where(over, self.memory_bytes - np.where(over, self.room_bytes, 0.0), 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the stage as plain data; room that has no limit is None."""
        found = {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in asdict(self).items()
        }
        found["room_bytes"] = [None if math.isinf(room) else room for room in self.room_bytes]
        return found


def stage_of(
    problem: ReplicatedPipelineData,
    start: int,
    end: int,
    devices: IntArray,
    behind: int,
    recompute: bool,
) -> Stage:
    """Compute a stage of the layers `start` to `end` - 1.

    Parameters
    ----------
    problem
        The data.
    start, end
        Its layers, at least one.
    devices
        Shape (T,): its devices, at least one.
    behind
        Devices of this stage and of all stages behind it.
    recompute
        Whether its activations are computed again.
    """
    used, replicas = devices > 0, int(devices.sum())
    forward, backward = (
        np.array([math.fsum(row) for row in table[:, start:end].tolist()])
        for table in (problem.forward_s, problem.backward_s)
    )
    compute = forward + backward + (forward if recompute else 0.0)
    transfer = moved_bytes(problem, start, end) / problem.rates
    alone = np.maximum(compute, transfer) if problem.overlap else compute + transfer
    shares, dealt = deal(alone, devices)
    reduced = all_reduce_s(problem, start, end, devices)
    flight = in_flight(problem, behind)
    copies = np.where(used, np.maximum(1, np.ceil(shares * flight - ROUNDING)), 0)
    memory = np.where(used, _memory(problem, start, end, copies, replicas, recompute), 0.0)
    return Stage(
        first_layer=start,
        last_layer=end - 1,
        devices=devices,
        recompute=recompute,
        compute_s=compute,
        transfer_s=transfer,
        shares=shares,
        dealt_s=dealt,
        all_reduce_s=reduced,
        period_s=max(dealt, reduced) if problem.overlap else dealt + reduced,
        in_flight=flight,
        copies=copies.astype(np.int64),
        memory_bytes=memory,
        room_bytes=problem.room_bytes,
    )


def deal(alone_s: FloatArray, devices: IntArray) -> tuple[FloatArray, float]:
    """Deal micro-batches to devices in proportion to their speed.

    Parameters
    ----------
    alone_s
        Shape (T,): seconds of a micro-batch on one device of each type.
    devices
        Shape (T,): how many there are, at least one in all.

    Returns
    -------
    Shape (T,): the share of a device of each type; and the seconds from one micro-batch to the
    next. Devices that take no time at all share everything among themselves.
    """
    used = devices > 0
    least = float(alone_s[used].min())
    slower = np.where(alone_s > 0, alone_s, 1.0)
    speed = np.where(used, np.where(alone_s > 0, least / slower, 1.0), 0.0)
    total = float((devices * speed).sum())
    return speed / total, least / total


def moved_bytes(problem: ReplicatedPipelineData, start: int, end: int) -> float:
    """Compute what keeps an interface busy of a micro-batch: the larger direction, or both."""
    up, down = problem.cut_up_bytes, problem.cut_down_bytes
    received, sent = float(up[start] + down[end]), float(down[start] + up[end])
    return max(received, sent) if problem.duplex == "full" else received + sent


def all_reduce_s(problem: ReplicatedPipelineData, start: int, end: int, devices: IntArray) -> float:
    """Compute the seconds per micro-batch of a ring all-reduce among the devices of a stage."""
    replicas = int(devices.sum())
    if replicas == 1:
        return 0.0
    weights = math.fsum(problem.weight_bytes[start:end].tolist())
    per = replicas if problem.schedule == "pipedream" else problem.micro_batches
    slowest = float(problem.rates[devices > 0].min())
    busy = 2 if problem.duplex == "full" else 4  # times a share of the weights
    return busy * (replicas - 1) / replicas * weights / slowest / per


def in_flight(problem: ReplicatedPipelineData, behind: int) -> int:
    """Count the micro-batches in flight in a stage with so many devices from it to the end."""
    if problem.schedule == "gpipe":
        return problem.micro_batches
    return behind if problem.schedule == "pipedream" else min(behind, problem.micro_batches)


def _memory(
    problem: ReplicatedPipelineData,
    start: int,
    end: int,
    copies: FloatArray,
    replicas: int,
    recompute: bool,
) -> FloatArray:
    """Shape (T,): bytes on one device that holds `copies` micro-batches.

    Weights, their gradients and the states of the optimizer; in PipeDream one more version of the
    weights for every further micro-batch in flight; and what micro-batches keep for the backward
    pass, or their input alone and all of it for the one that is computed again.
    """
    weights, kept, states = (
        math.fsum(table[start:end].tolist())
        for table in (problem.weight_bytes, problem.activation_bytes, problem.optimizer_bytes)
    )
    versions = copies if problem.schedule == "pipedream" else 1
    own = states / replicas if problem.shard_optimizer else states
    fixed = weights * (1 + versions) + own
    if recompute:
        return np.asarray(fixed + copies * float(problem.cut_up_bytes[start]) + kept)
    return np.asarray(fixed + copies * kept)
