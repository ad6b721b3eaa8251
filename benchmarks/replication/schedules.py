"""``python -m benchmarks.replication.schedules``: schedules run beside their closed form."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import output_folder, printed, write_rows
from splitopt import solve
from splitopt.bench.instances.families.replicated_pipeline import BENCHMARK
from splitopt.problems.replicated_pipeline import ReplicatedPipeline
from splitopt.simulation.schedules import run_schedule

RESULTS = Path(__file__).parent / "results"
FAMILIES = ("plain", "types", "memory", "gpipe", "pipedream")
SEEDS = range(20)
LAYERS, DEVICES = 40, 8
LONG = (64, 640)
"""Micro-batches of two steps, whose difference leaves out how a pipeline fills and drains."""
COLUMNS = {
    "family": ("family", "`{}`"),
    "schedule": ("schedule", "`{}`"),
    "median": ("median", "{:.3f}"),
    "worst": ("largest", "{:.3f}"),
    "held": ("most held, of what memory allows", "{:.2f}"),
    "step": ("a step of 8, of 8 periods", "{:.2f}"),
}
NOTE = (
    f"{len(SEEDS)} instances of {LAYERS} layers on {DEVICES} devices in each family, solved, and "
    f"run event by event. Seconds between two micro-batches, from steps of {LONG[0]} and "
    f"{LONG[1]}, over the closed form without the all-reduce of a flush: the median and the "
    "largest; the most micro-batches that a device held over those that its memory was planned "
    "for; and, in the median, a step as it is, with fill, drain and all-reduce."
)


def main(arguments: Sequence[str]) -> int:
    """Print every row, and write the table."""
    folder = output_folder(arguments, "benchmarks.replication.schedules", RESULTS)
    if folder is None:
        return 2
    rows = printed(families(), COLUMNS)
    write_rows(folder / "schedules", rows, COLUMNS, NOTE)
    return 0


def families() -> Iterator[dict[str, Any]]:
    """Yield a row for every family."""
    for family in FAMILIES:
        draw, found = BENCHMARK.families[family], []
        for seed in SEEDS:
            problem = draw(seed=seed, layers=LAYERS, devices=DEVICES)
            assert isinstance(problem, ReplicatedPipeline)
            found.append(replayed(problem))
        table = np.array(found)
        yield {
            "family": family,
            "schedule": problem.schedule,
            "median": float(np.median(table[:, 0])),
            "worst": float(table[:, 0].max()),
            "held": float(table[:, 1].max()),
            "step": float(np.median(table[:, 2])),
        }


def replayed(problem: ReplicatedPipeline) -> tuple[float, float, float]:
    """Return period, micro-batches held and a step of the best pipeline, over the closed forms."""
    decision = solve(problem).decision
    stages = problem.stages(decision)
    short, long = (run_schedule(problem, decision, count) for count in LONG)
    flush = problem.schedule != "pipedream"
    closed = max(stage.dealt_s if flush else stage.period_s for stage in stages)
    period = (long.step_s - short.step_s) / (LONG[1] - LONG[0])
    step = run_schedule(problem, decision)
    held = max(
        most / copies
        for stage, team in zip(stages, step.held, strict=True)
        for most, copies in zip(team, np.repeat(stage.copies, stage.devices), strict=True)
    )
    whole = problem.micro_batches * problem.evaluate(decision)
    return period / closed, held, step.step_s / whole


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
