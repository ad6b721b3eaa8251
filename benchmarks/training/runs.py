"""Runs of cases, kept in one CSV file that grows with every run, so that none is lost."""

from __future__ import annotations

import csv
import io
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.training.settings import Case, Setting, cell
from splitopt import plan, train
from splitopt.storage.writing import write_atomic
from splitopt.training.data import DataSet, load_data

_HEAD = ("setting", "case", "seed", "round", "training_loss", "test_accuracy")


class Point(NamedTuple):
    """A test of the common model."""

    round: int
    training_loss: float
    test_accuracy: float


Key = tuple[str, str, int]
"""Setting, case and seed."""


@dataclass
class Runs:
    """All runs so far.

    Parameters
    ----------
    path
        The CSV file; it is read if it is there.
    """

    path: Path
    points: dict[Key, list[Point]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Runs:
        """Read the file, or begin without."""
        found: dict[Key, list[Point]] = defaultdict(list)
        if path.is_file():
            with path.open(newline="") as stream:
                for row in csv.DictReader(stream):
                    key = (row["setting"], row["case"], int(row["seed"]))
                    found[key].append(
                        Point(
                            int(row["round"]),
                            float(row["training_loss"]),
                            float(row["test_accuracy"]),
                        )
                    )
        return cls(path, dict(found))

    def save(self) -> None:
        """Write all points."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_HEAD)
        for key, points in sorted(self.points.items()):
            writer.writerows(
                [*key, p.round, f"{p.training_loss:.4f}", f"{p.test_accuracy:.4f}"] for p in points
            )
        write_atomic(self.path, text.getvalue())

    def has(self, setting: Setting, case: Case, seed: int) -> bool:
        """Whether a run is complete."""
        points = self.points.get((setting.name, case.name, seed))
        return bool(points) and points[-1].round == setting.rounds

    def accuracy(self, setting: str, case: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the rounds of the tests, and the accuracy of shape (seeds, tests)."""
        of_case = [self.points[key] for key in sorted(self.points) if key[:2] == (setting, case)]
        rounds = np.array([point.round for point in of_case[0]])
        return rounds, np.array([[p.test_accuracy for p in points] for points in of_case])

    def fill(self, setting: Setting, note: Callable[[str], None]) -> None:
        """Train what is missing; the file is written after every run."""
        missing = [
            (case, seed)
            for seed in setting.seeds
            for case in setting.cases
            if not self.has(setting, case, seed)
        ]
        by_seed: dict[int, DataSet] = {}
        for case, seed in missing:
            if seed not in by_seed:
                by_seed = {seed: test_part(setting, load_data(setting.data, seed=seed))}
            begin = time.process_time()
            points = train_case(setting, case, by_seed[seed], seed)
            self.points[setting.name, case.name, seed] = points
            self.save()
            note(
                f"{setting.name}: {case.label}, seed {seed}: {points[-1].test_accuracy:.3f} after "
                f"{setting.rounds} rounds ({time.process_time() - begin:.0f} s of computing)"
            )


def test_part(setting: Setting, data: DataSet) -> DataSet:
    """Return the data with as many test samples as the setting tests with."""
    if setting.tested is None:
        return data
    return replace(
        data,
        test_inputs=data.test_inputs[: setting.tested],
        test_targets=data.test_targets[: setting.tested],
    )


def train_case(setting: Setting, case: Case, data: DataSet, seed: int) -> list[Point]:
    """Plan the fleet, train by the case's scheme, and give the tests of the common model."""
    planned = plan(cell(setting, case.size, data.shape, data.classes), solver="similar_compute")
    run = train(
        planned,
        data=data,
        partition=setting.partition,
        scheme=case.scheme,
        options=case.options,
        seed=seed,
        evaluate_every=setting.every,
    )
    points: list[Point] = []
    losses: list[float] = []
    for row in run.history.rows:
        losses.append(row.loss)
        if row.accuracy is not None:
            points.append(Point(row.round, float(np.mean(losses)), row.accuracy))
            losses = []
    return points
