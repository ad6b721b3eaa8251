"""A step of a replicated pipeline, event by event, in the order of its schedule.

A device does one pass at a time, and a pass that has begun to its end. Under 1F1B (and PipeDream) a
backward pass that can be done comes before a forward pass, and no device begins a forward pass
while it holds as many micro-batches as `Stage.copies` says; under GPipe it does all its forward
passes first. Micro-batches are dealt to the devices of a stage one by one, each to the device that
is furthest behind its share.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InputError
from splitopt.problems.base import FloatArray
from splitopt.problems.replicated_pipeline import (
    ReplicatedPipeline,
    ReplicatedPipelineDecision,
    Stage,
)

KINDS: tuple[Literal["forward", "backward"], ...] = ("forward", "backward")
"""Passes of a micro-batch through a stage, in the order of `factors`."""
MOST_PASSES = 1_000_000
"""Longer steps are refused."""


class Pass(NamedTuple):
    """A micro-batch forward or backward through one device of a stage, in s from the start."""

    stage: int
    device: int
    micro_batch: int
    kind: Literal["forward", "backward"]
    start_s: float
    end_s: float


@dataclass(frozen=True)
class ScheduleRun:
    """A step, event by event.

    Parameters
    ----------
    step_s
        From the first forward pass to the end of the last backward pass and of the all-reduce
        behind it.
    held
        For each stage, for each of its devices: the most micro-batches that it held at a time.
    passes
        All passes in the order of their ends.
    """

    step_s: float
    held: tuple[tuple[int, ...], ...]
    passes: tuple[Pass, ...]


def run_schedule(
    problem: ReplicatedPipeline,
    decision: ReplicatedPipelineDecision,
    micro_batches: int | None = None,
    factors: FloatArray | None = None,
) -> ScheduleRun:
    """Run a step of a pipeline.

    Transfers are part of the passes of both ends: a device that takes w seconds for a micro-batch
    has passes of w seconds in all. An all-reduce follows the last backward pass of a stage; in
    PipeDream, where it never ends, it makes all passes longer.

    Parameters
    ----------
    problem, decision
        The pipeline.
    micro_batches
        Of the step; the problem's by default.
    factors
        Shape (stages, micro-batches, 2): by which passes, forward and backward, are stretched; 1
        by default.

    Raises
    ------
    InputError
        The decision does not fit the problem, the factors do not fit the step, or it has more than
        `MOST_PASSES` passes.
    """
    count = problem.micro_batches if micro_batches is None else micro_batches
    check_whole("micro_batches", count, 1)
    stages = problem.stages(decision)
    if factors is not None and factors.shape != (len(stages), count, len(KINDS)):
        raise InputError.at(
            "factors",
            f"has shape {factors.shape}, it must have {(len(stages), count, len(KINDS))}: stages, "
            "micro-batches, forward and backward",
        )
    if 2 * count * len(stages) > MOST_PASSES:
        raise InputError.at(
            "micro_batches",
            f"is {count:,} for {len(stages)} stages, and a step has at most {MOST_PASSES:,} "
            "passes; take fewer",
        )
    teams = [_team(problem, stage, count) for stage in stages]
    passes = list(_passes(teams, count, problem.schedule == "gpipe", factors))
    flush = problem.schedule != "pipedream"
    ends = dict.fromkeys(range(len(stages)), 0.0)
    for done in passes:
        ends[done.stage] = max(ends[done.stage], done.end_s)
    step = max(
        ends[m] + (stage.all_reduce_s * problem.micro_batches if flush else 0.0)
        for m, stage in enumerate(stages)
    )
    held = tuple(tuple(device.most for device in team.devices) for team in teams)
    return ScheduleRun(step, held, tuple(passes))


class _Device:
    """One device of a stage: what it takes, what it may hold, and what waits for it."""

    def __init__(self, forward_s: float, backward_s: float, limit: int) -> None:
        self.forward_s, self.backward_s, self.limit = forward_s, backward_s, limit
        self.forward: list[int] = []
        self.backward: list[int] = []
        self.to_come = 0
        """Forward passes that are not begun, for GPipe."""
        self.held = self.most = 0
        self.busy = False

    def next_pass(self, forward_first: bool) -> tuple[Literal["forward", "backward"], int] | None:
        """Begin the next pass that can be done: its kind and micro-batch; None if there is none."""
        if self.busy:
            return None
        if self.backward and not (forward_first and self.to_come):
            self.busy = True
            return "backward", heapq.heappop(self.backward)
        if self.forward and self.held < self.limit:
            self.busy, self.to_come = True, self.to_come - 1
            self.held += 1
            self.most = max(self.most, self.held)
            return "forward", heapq.heappop(self.forward)
        return None


class _Team(NamedTuple):
    """The devices of a stage, and the one that does each micro-batch."""

    devices: list[_Device]
    dealt: list[int]


def _team(problem: ReplicatedPipeline, stage: Stage, count: int) -> _Team:
    """Set up a stage; passes are stretched so that transfers are part of them."""
    kinds = np.repeat(np.arange(problem.types), stage.devices)
    rows = slice(stage.first_layer, stage.last_layer + 1)
    forward = problem.forward_s[:, rows].sum(axis=1)
    ends = [stage.first_layer, stage.last_layer + 1]
    sent = problem.cut_up_bytes[ends].sum(), problem.cut_down_bytes[ends].sum()
    part = sent[0] / (sent[0] + sent[1]) if sent[0] + sent[1] > 0 else 0.0
    plain, moved = stage.compute_s, stage.transfer_s
    alone = np.maximum(plain, moved) if problem.overlap else plain + moved
    if problem.overlap:
        forward = np.divide(forward * alone, plain, out=part * alone, where=plain > 0)
    else:
        forward = forward + part * moved
    longer = 1.0
    if problem.schedule == "pipedream" and stage.dealt_s > 0:
        longer = stage.period_s / stage.dealt_s
    devices = [
        _Device(
            float(longer * forward[kind]),
            float(longer * (alone[kind] - forward[kind])),
            int(stage.copies[kind]),
        )
        for kind in kinds
    ]
    dealt = deal(stage.shares[kinds], count)
    for number in dealt:
        devices[number].to_come += 1
    if problem.schedule == "gpipe":
        for device in devices:  # the shares are met up to one micro-batch
            device.limit = max(device.limit, device.to_come)
    return _Team(devices, dealt)


def deal(shares: Sequence[float] | FloatArray, count: int) -> list[int]:
    """Return for each of ``count`` micro-batches the device of a stage that does it.

    They are dealt one by one to the device that is furthest behind its share.
    """
    shares, given = np.asarray(shares, dtype=np.float64), np.zeros(len(shares))
    found = []
    for number in range(1, count + 1):
        chosen = int((shares * number - given).argmax())
        given[chosen] += 1
        found.append(chosen)
    return found


def _passes(
    teams: list[_Team], count: int, forward_first: bool, factors: FloatArray | None
) -> Iterator[Pass]:
    """Yield the passes in the order of their ends."""
    running: list[tuple[float, int, Pass]] = []
    clock, begun = 0.0, 0

    def begin(stage: int, number: int) -> None:
        nonlocal begun
        device = teams[stage].devices[number]
        if (chosen := device.next_pass(forward_first)) is not None:
            kind, batch = chosen
            seconds = device.forward_s if kind == "forward" else device.backward_s
            if factors is not None:
                seconds *= float(factors[stage, batch, KINDS.index(kind)])
            done = Pass(stage, number, batch, kind, clock, clock + seconds)
            heapq.heappush(running, (done.end_s, begun, done))
            begun += 1

    def arrive(stage: int, kind: str, batch: int) -> None:
        number = teams[stage].dealt[batch]
        device = teams[stage].devices[number]
        heapq.heappush(device.forward if kind == "forward" else device.backward, batch)
        begin(stage, number)

    for batch in range(count):
        arrive(0, "forward", batch)
    while running:
        clock, _, done = heapq.heappop(running)
        yield done
        device = teams[done.stage].devices[done.device]
        device.busy = False
        if done.kind == "backward":
            device.held -= 1
            if done.stage > 0:
                arrive(done.stage - 1, "backward", done.micro_batch)
        elif done.stage < len(teams) - 1:
            arrive(done.stage + 1, "forward", done.micro_batch)
        else:
            arrive(done.stage, "backward", done.micro_batch)
        begin(done.stage, done.device)
