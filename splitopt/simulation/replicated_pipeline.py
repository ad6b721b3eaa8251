"""A step of `ReplicatedPipeline`: micro-batches through the machines of every stage."""

from __future__ import annotations

import numpy as np

from splitopt.problems.replicated_pipeline import (
    ReplicatedPipeline,
    ReplicatedPipelineDecision,
    Stage,
)
from splitopt.scenario.nodes import expanded_names
from splitopt.simulation.noise import check_noise, noise_factors
from splitopt.simulation.replay import Forecast, Replay, Setting
from splitopt.simulation.schedules import KINDS, MOST_PASSES, ScheduleRun, run_schedule
from splitopt.timeline import Resource, Timeline

MOST_REPLAYED = 200_000
"""Passes of all stages that are replayed of a longer step."""
MOST_RUN = 20_000
"""Passes of all stages that are run to say how long a longer step is."""
PHASES = (*KINDS, "all-reduce")
_LONG = 640
"""Micro-batches of a long step; the pace is what they take beyond a tenth of them."""


def replay(
    problem: ReplicatedPipeline, decision: ReplicatedPipelineDecision, setting: Setting
) -> Replay:
    """Simulate a step of micro-batches in the order of the schedule.

    See `splitopt.simulation.schedules`. A step with a flush ends with the all-reduce of every
    replicated stage.
    """
    stages = problem.stages(decision)
    whole = problem.micro_batches
    count = min(whole, max(1, MOST_REPLAYED // (2 * len(stages))))
    factors = noise_factors(
        (len(stages), count, len(KINDS)), check_noise(setting.noise), setting.seed
    )
    run = run_schedule(problem, decision, count, factors)
    section = None if setting.scenario is None else setting.scenario.replication
    names = placed_names(problem, decision, None if section is None else section.names())
    period = problem.evaluate(decision)
    slowest = max(range(len(stages)), key=lambda m: stages[m].period_s)
    pace = full_pace(problem, decision)
    return Replay(
        timeline=_timeline(problem, stages, names, run, setting),
        span=f"{'' if count == whole else 'the first part of '}a round, {count:,} micro-batches",
        forecasts=(Forecast("micro-batches times the promised period", count * period),),
        binding=f"stage {slowest + 1}, {period:.4g} s per micro-batch",
        facts=(
            ("Promised period", _promised(stages[slowest])),
            ("Period that a full pipeline reaches", _reached(problem, stages, pace)),
            ("A round, filled and emptied", f"{run.step_s / count:.5g} s per micro-batch"),
            ("Machines in use", f"{sum(map(len, names))} of {problem.device_count}"),
        ),
    )


def placed_names(
    problem: ReplicatedPipeline,
    decision: ReplicatedPipelineDecision,
    names: list[list[str]] | None = None,
) -> list[list[str]]:
    """Return the names of the machines of every stage, types in turn.

    Parameters
    ----------
    problem, decision
        The pipeline.
    names
        Names by type; stages take them in order. By default ``type 0-1``, ``type 0-2`` and so on.
    """
    if names is None:
        named = enumerate(problem.devices.tolist())
        names = [expanded_names(f"type {kind}", count) for kind, count in named]
    taken = np.zeros(problem.types, dtype=np.int64)
    found = []
    for row in decision.devices:
        spans = zip(names, taken, taken + row, strict=True)
        found.append([name for own, first, end in spans for name in own[first:end]])
        taken = taken + row
    return found


def closed_pace(problem: ReplicatedPipeline, stages: list[Stage]) -> float:
    """Return the planned seconds between micro-batches of a full pipeline.

    The all-reduce at the end of a step does not keep a full pipeline waiting.
    """
    flush = problem.schedule != "pipedream"
    return max(stage.dealt_s if flush else stage.period_s for stage in stages)


def full_pace(problem: ReplicatedPipeline, decision: ReplicatedPipelineDecision) -> float | None:
    """Return the seconds between micro-batches of a full pipeline, event by event.

    They are what a long step takes beyond a tenth of it, per micro-batch: filling and emptying are
    in both. None where that would be more than `MOST_PASSES` passes.
    """
    stages = len(decision.ends)
    long = max(_LONG, 10 * int(decision.devices.sum()))
    if 2 * long * stages > MOST_PASSES:
        return None
    both = (run_schedule(problem, decision, count).step_s for count in (long, long // 10))
    return (next(both) - next(both)) / (long - long // 10)


def step_seconds(problem: ReplicatedPipeline, decision: ReplicatedPipelineDecision) -> float:
    """Return how long a step takes, from the first pass to the end of the last all-reduce.

    Of a longer step than that of `MOST_RUN` passes, and of four micro-batches for each machine, the
    micro-batches beyond take as long as the second half of these does.
    """
    passes, machines = 2 * len(decision.ends), int(decision.devices.sum())
    most = min(max(MOST_RUN // passes, 4 * machines), MOST_PASSES // passes)
    count = min(problem.micro_batches, most)
    whole = run_schedule(problem, decision, count).step_s
    if count == problem.micro_batches:
        return whole
    half = run_schedule(problem, decision, count // 2).step_s
    return whole + (problem.micro_batches - count) * (whole - half) / (count - count // 2)


def _promised(stage: Stage) -> str:
    text = f"{stage.period_s:.5g} s per micro-batch"
    if stage.all_reduce_s == 0:
        return text
    return f"{text}, its part of an all-reduce ({stage.all_reduce_s:.3g} s) included"


def _reached(problem: ReplicatedPipeline, stages: list[Stage], pace: float | None) -> str:
    """Return the pace beside the planned one, and how many times as long it is."""
    planned = closed_pace(problem, stages)
    if pace is None:
        return "there are too many machines to run it"
    times = f", {pace / planned:.3f} times" if planned > 0 else ""
    apart = "" if problem.schedule == "pipedream" else ", all-reduce apart"
    return f"{pace:.5g} s per micro-batch beside {planned:.5g} s planned{times}{apart}"


def _timeline(
    problem: ReplicatedPipeline,
    stages: list[Stage],
    names: list[list[str]],
    run: ScheduleRun,
    setting: Setting,
) -> Timeline:
    """Return the passes and the all-reduce of every replica as tasks, in the order of their ends.

    What has no duration is left out.
    """
    offsets = np.cumsum([0, *map(len, names)])
    rows = [
        (offsets[p.stage] + p.device, PHASES.index(p.kind), p.micro_batch, p.start_s, p.end_s)
        for p in run.passes
    ]
    if problem.schedule != "pipedream":
        for m, stage in enumerate(stages):
            begun = max(p.end_s for p in run.passes if p.stage == m)
            ended = begun + stage.all_reduce_s * problem.micro_batches
            rows += [(offset, 2, 0, begun, ended) for offset in range(offsets[m], offsets[m + 1])]
    rows = [row for row in rows if row[4] > row[3]]
    columns = list(zip(*rows, strict=True)) or [()] * 5
    kinds = [f"stage {m + 1}" for m, own in enumerate(names) for _ in own]
    flat = [name for own in names for name in own]
    return Timeline(
        tuple(Resource(name, kind) for name, kind in zip(flat, kinds, strict=True)),
        PHASES,
        ("round",),
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=np.int64),
        np.zeros(len(rows), dtype=np.int64),
        np.array(columns[2], dtype=np.int64),
        np.array(columns[3], dtype=np.float64),
        np.array(columns[4], dtype=np.float64),
        np.ones(len(rows)),
        origin=setting.origin(problem.name),
    )
