"""Runs until a metric of the tests is at a target, and when it was at others on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from splitopt.errors import InputError, TrainingError
from splitopt.training.history import RoundRow
from splitopt.training.job import TrainingJob
from splitopt.training.schedule import Schedule

LOSS = "test_loss"
"""What is not a metric of a task, but known in every test."""


@dataclass(frozen=True)
class Course:
    """What the tests of a run said.

    Parameters
    ----------
    rounds, values
        After how many rounds, rising, and the metric then.
    falls
        Whether a smaller value is better.
    trained
        Rounds that were trained.
    """

    rounds: tuple[int, ...]
    values: tuple[float, ...]
    falls: bool
    trained: int

    @property
    def best(self) -> float:
        """The best value of all tests, NaN without one."""
        if not self.values:
            return math.nan
        return min(self.values) if self.falls else max(self.values)

    def reaching(self, target: float) -> float | None:
        """Compute the rounds until a target, between two tests by a straight line; None if never.

        What the first test reaches counts as reached then.
        """
        before: tuple[int, float] | None = None
        for number, value in zip(self.rounds, self.values, strict=True):
            there = value <= target if self.falls else value >= target
            if there:
                if before is None or value == before[1]:
                    return float(number)
                part = (target - before[1]) / (value - before[1])
                return before[0] + part * (number - before[0])
            before = number, value
        return None


def value_of(row: RoundRow, metric: str) -> float | None:
    """Return a metric of the test of a round, None where it was not tested.

    Raises
    ------
    InputError
        The task has no such metric; those that it has are named.
    """
    if row.test_loss is None:
        return None
    if metric == LOSS:
        return row.test_loss
    if metric not in row.metrics:
        known = ", ".join((LOSS, *row.metrics))
        raise InputError.at("metric", f"is {metric!r}; the tests have {known}")
    return row.metrics[metric]


def train_until(
    job: TrainingJob,
    metric: str,
    target: float,
    *,
    most: int,
    every: int,
    told: Callable[[int, float], object] | None = None,
    watched: Callable[[int, Any], object] | None = None,
) -> Course:
    """Train a job until a metric is at a target, at most so many rounds.

    Parameters
    ----------
    most, every
        Rounds at most, and between two tests.
    told
        Called after every test with the round and the value.
    watched
        Called with 0 before the first round, and after every test with the round; and with the
        prepared training.

    Returns
    -------
    Course
        Ended early by a loss that is not finite: that never reaches anything.
    """
    from splitopt.training.preparing.prepare import prepare
    from splitopt.training.rounds.loop import run_rounds

    prepared = prepare(job)
    task = prepared.task
    falls = metric == LOSS or (metric in task.metrics and task.has_better(metric, 0.0, 1.0))
    rounds: list[int] = []
    values: list[float] = []

    def after(row: RoundRow, total: int) -> bool:
        del total
        value = value_of(row, metric)
        if value is None:
            return False
        rounds.append(row.round)
        values.append(value)
        if told is not None:
            told(row.round, value)
        if watched is not None:
            watched(row.round, prepared)
        return value <= target if falls else value >= target

    if watched is not None:
        watched(0, prepared)
    try:
        run_rounds(prepared, Schedule(rounds=most, evaluate_every=every), callback=after)
    except TrainingError as error:
        history = error.history
        done = len(history) if history is not None else 0
        return Course(tuple(rounds), tuple(values), falls, done)
    return Course(tuple(rounds), tuple(values), falls, rounds[-1] if rounds else most)


def check_order(targets: Sequence[float], falls: bool) -> None:
    """Reject a loose target that is harder than the full one."""
    loose, full = targets
    if (loose < full) if falls else (loose > full):
        raise InputError.at(
            "loose_target", f"is {loose:g}, harder to reach than the target {full:g}; swap them"
        )
