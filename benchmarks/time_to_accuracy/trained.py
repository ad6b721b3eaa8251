"""Rounds that were really trained, kept one by one, so that an interrupted benchmark goes on."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitopt import Scenario
from splitopt.problems.time_to_accuracy.tables import parameter_share
from splitopt.storage.writing import write_atomic
from splitopt.training.calibration.bound_constants import Watch
from splitopt.training.calibration.given import Setting, plan_at
from splitopt.training.calibration.reaching import train_until
from splitopt.training.job import TrainingJob
from splitopt.training.options import Options


@dataclass(frozen=True)
class Study:
    """What is trained: a partition, a grid of plans, and when a run ends.

    Parameters
    ----------
    partitions
        How the digits are shared out among the devices.
    seeds
        Of which the mean counts.
    sizes, intervals, cuts
        The grid. With an interval of 1 the cut has no effect, and the first one stands for all.
    target, loose_target
        Test losses: the one that counts, and the one at which the curve is fitted.
    rate
        Learning rate of plain SGD.
    most, every
        Rounds at most, and between two tests.
    """

    partitions: tuple[str, ...] = ("iid", "dirichlet:1")
    seeds: tuple[int, ...] = (0, 1)
    sizes: tuple[int, ...] = (4, 8, 16, 32)
    intervals: tuple[int, ...] = (1, 5, 20)
    cuts: tuple[int, ...] = (1, 5)
    target: float = 0.5
    loose_target: float = 1.2
    rate: float = 0.3
    most: int = 1500
    every: int = 5

    def settings(self) -> list[Setting]:
        """Return the grid of plans, alike for all devices."""
        found = []
        for interval in self.intervals:
            for cut in self.cuts if interval > 1 else self.cuts[:1]:
                found += [Setting(cut, size, interval) for size in self.sizes]
        return found


QUICK = Study(
    partitions=("iid",),
    seeds=(0,),
    sizes=(4, 32),
    intervals=(1, 10),
    target=0.6,
    most=500,
    every=10,
)
FULL = Study()
SCENARIO = "digits-splitfed"


class Cells:
    """The trained runs of a study, in a JSON file if they are to be kept."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, Any] = {}
        if path is not None and path.exists():
            self.known = json.loads(path.read_text())

    def of(self, study: Study, partition: str, setting: Setting, seed: int) -> dict[str, Any]:
        """Return a run: rounds to both targets (None if never), and the bound's constants."""
        key = (
            f"{partition}, seed {seed}, {setting}, rate {study.rate:g}, "
            f"{study.loose_target:g} and {study.target:g}, at most {study.most}, "
            f"every {study.every}"
        )
        if key not in self.known:
            begin = time.perf_counter()
            self.known[key] = _train(study, partition, setting, seed)
            took = time.perf_counter() - begin
            print(f"  {key}: {self.known[key]['rounds']} rounds, {took:.0f} s", flush=True)
            if self.path is not None:
                write_atomic(self.path, json.dumps(self.known, indent=1) + "\n")
        found: dict[str, Any] = self.known[key]
        return found


def _train(study: Study, partition: str, setting: Setting, seed: int) -> dict[str, Any]:
    scenario = Scenario.load(SCENARIO)
    options = Options(learning_rate=study.rate)
    is_reference = setting == reference(study) and seed == study.seeds[0]
    watch = Watch() if is_reference else None
    job = TrainingJob(
        plan_at(scenario, setting),
        data="digits",
        partition=partition,
        samples="plan" if partition == "iid" else "data",  # few classes have too few of some
        options=options,
        seed=seed,
    )
    course = train_until(
        job,
        "test_loss",
        study.target,
        most=study.most,
        every=study.every,
        watched=None if watch is None else watch.look,
    )
    rounds = course.reaching(study.target)
    constants = None
    if watch is not None and rounds is not None:
        devices = len(scenario.fleet())
        constants = watch.constants(devices, options, int(setting.sizes[0]), rounds)
    return {
        "rounds": rounds,
        "loose": course.reaching(study.loose_target),
        "trained": course.trained,
        "constants": constants,
    }


def reference(study: Study) -> Setting:
    """Return the run by which the bound and the constant are set: the largest batch, interval 1."""
    return Setting(study.cuts[0], study.sizes[-1], 1)


def depth(cut: int) -> float:
    """Return s(l) of the shipped network."""
    share = parameter_share(Scenario.load(SCENARIO).load_model())
    return float(np.sqrt(share[cut - 1]))
