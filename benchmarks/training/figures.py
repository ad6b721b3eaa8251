"""CPSL's Fig. 5 and Fig. 6: accuracy by round and by predicted time."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from benchmarks.papers.cpsl.cells import published
from benchmarks.papers.tables import Table
from benchmarks.training.runs import Runs
from benchmarks.training.settings import (
    FIGURE_5,
    FIGURE_5_LENET,
    FIGURE_5_LENET_LONG,
    FIGURE_6,
    Case,
    Setting,
    cell,
)
from splitopt.planning.comparison.comparing import compare_schemes

TARGET = 0.80
MARKS = (50, 100, FIGURE_5.rounds)
WINDOW = 3
"""Tests over whose mean an accuracy counts as reached, since it jumps from test to test."""


@cache
def round_seconds(size: int = 5) -> dict[str, float]:
    """Predict a round of every scheme: the paper's network and cell, a mini-batch per device.

    Parameters
    ----------
    size
        Devices in a cluster of CPSL.

    Returns
    -------
    Scheme of `compare_schemes` -> seconds.
    """
    scenario = cell(FIGURE_5, size)
    devices = tuple(
        device.model_copy(update={"samples": device.batch_size}) for device in scenario.devices
    )
    one_batch = scenario.model_copy(update={"devices": devices})
    rows = compare_schemes(one_batch).rows
    return {row.scheme: row.round_s for row in rows if row.round_s is not None}


class Line(NamedTuple):
    """A line of Fig. 5: whose accuracy it is, and the seconds of a round."""

    label: str
    case: str
    seconds: float | None
    timed_as: str | None


def lines() -> list[Line]:
    """Return the cases of Fig. 5, and SplitFedV1, which learns what FL learns in other seconds."""
    found = [
        Line(case.label, case.name, seconds_of(case), case.timed_as) for case in FIGURE_5.cases
    ]
    return [*found, Line("SplitFedV1 (learns as FL)", "fl", round_seconds()["sflv1"], "sflv1")]


def seconds_of(case: Case) -> float | None:
    """Predict the seconds of a case's round; None for what is not on the network."""
    return None if case.timed_as is None else round_seconds(case.size)[case.timed_as]


def smoothed(accuracy: np.ndarray) -> np.ndarray:
    """Average over the tests of a window: (seeds, tests) -> (seeds, tests - WINDOW + 1)."""
    windows = np.lib.stride_tricks.sliding_window_view(accuracy, WINDOW, axis=1)
    return np.asarray(windows.mean(axis=2))


def rounds_to(rounds: np.ndarray, accuracy: np.ndarray, target: float = TARGET) -> float | None:
    """Mean over the seeds of the first round from which a window's mean is at the target.

    None if a seed does not come so far.
    """
    reached = smoothed(accuracy) >= target
    if not reached.any(axis=1).all():
        return None
    return float(rounds[reached.argmax(axis=1)].mean())


def figure_5(runs: Runs) -> Table:
    """Return accuracy by round, and the rounds and the time to one accuracy."""
    rows: list[list[Any]] = []
    paper = published()["round_s"]
    for line in lines():
        rounds, accuracy = runs.accuracy(FIGURE_5.name, line.case)
        means = accuracy.mean(axis=0)
        at = [f"{means[np.searchsorted(rounds, mark)]:.3f}" for mark in MARKS]
        at[-1] += f" ({accuracy[:, -1].min():.3f} to {accuracy[:, -1].max():.3f})"
        needed = rounds_to(rounds, accuracy)
        rows.append(
            [
                line.label,
                *at,
                _number(needed, 0),
                _number(line.seconds, 2),
                _number(paper.get(line.timed_as), 2),
                _number(needed * line.seconds if needed and line.seconds else None, 0),
            ]
        )
    head = (
        "scheme",
        *(f"round {mark}" for mark in MARKS),
        f"rounds to {TARGET:.2f}",
        "round in s",
        "published, in s",
        f"seconds to {TARGET:.2f}",
    )
    note = (
        f"Test accuracy of the common model, mean over {len(FIGURE_5.seeds)} seeds (lowest to "
        f"highest at the end). {TARGET:.2f} is reached where the mean of {WINDOW} tests is there "
        "in every seed. Seconds of a round are predicted for the paper's own network and cell."
    )
    return Table("figure-5", head, rows, note)


def figure_5_lenet(runs: Runs) -> Table:
    """Return the accuracy of the paper's own network beside that of the small one."""
    marks = (20, 50, FIGURE_5_LENET.rounds)
    rows: list[list[Any]] = []
    for case in FIGURE_5_LENET.cases:
        cells = []
        for setting in (FIGURE_5_LENET, FIGURE_5):
            rounds, accuracy = runs.accuracy(setting.name, case.name)
            cells += [f"{accuracy[0, np.searchsorted(rounds, mark)]:.3f}" for mark in marks]
        rows.append([case.label, *cells])
    goes_on = FIGURE_5_LENET_LONG
    _, accuracy = runs.accuracy(goes_on.name, goes_on.cases[0].name)
    for case, row in zip(FIGURE_5_LENET.cases, rows, strict=True):
        row.insert(1 + len(marks), f"{accuracy[0, -1]:.3f}" if case in goes_on.cases else None)
    head = (
        "scheme",
        *(f"12 layers, round {mark}" for mark in (*marks, goes_on.rounds)),
        *(f"small, round {mark}" for mark in marks),
    )
    note = (
        f"Test accuracy of one seed, {FIGURE_5_LENET.tested:,} test samples for the network of 12 "
        f"layers and {FIGURE_5.tested:,} for the small one."
    )
    return Table("figure-5-lenet12", head, rows, note)


def figure_6(runs: Runs) -> Table:
    """Return rounds and time to one accuracy by the size of a cluster."""
    cases: list[tuple[Setting, Case]] = [
        (FIGURE_5, _named("sl")),
        (FIGURE_6, FIGURE_6.cases[0]),
        (FIGURE_5, _named("cpsl-5")),
        *((FIGURE_6, case) for case in FIGURE_6.cases[1:]),
    ]
    rows: list[list[Any]] = []
    for setting, case in cases:
        rounds, accuracy = runs.accuracy(setting.name, case.name)
        needed, seconds = rounds_to(rounds, accuracy), seconds_of(case)
        size = "1 (vanilla SL)" if case.name == "sl" else str(case.size)
        rows.append(
            [
                size,
                f"{accuracy[:, -1].mean():.3f}",
                _number(needed, 0),
                _number(seconds, 2),
                _number(needed * seconds if needed and seconds else None, 0),
            ]
        )
    head = (
        "devices in a cluster",
        f"round {FIGURE_6.rounds}",
        f"rounds to {TARGET:.2f}",
        "round in s",
        f"seconds to {TARGET:.2f}",
    )
    note = (
        "CPSL as printed (Eq. 6-7); the server's learning rate is 0.05 for every device in the "
        "cluster, which makes the paper's 0.25 for 5."
    )
    return Table("figure-6", head, rows, note)


def _named(name: str) -> Case:
    return next(case for case in FIGURE_5.cases if case.name == name)


def _number(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"
