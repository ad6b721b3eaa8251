"""Plans by a calibrated curve held against their own training: predicted and trained time."""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers.tables import Table
from splitopt import Scenario, plan
from splitopt.plans import Plan
from splitopt.profiles.tracing.public import trace
from splitopt.storage.writing import write_atomic
from splitopt.training.calibration.corners import Wanted, calibrate
from splitopt.training.calibration.reaching import train_until
from splitopt.training.job import TrainingJob
from splitopt.training.options import Options

FLEETS: dict[str, dict[str, Any]] = {
    "four boards": {
        "devices": [
            {"name": "fast", "count": 2, "compute": "3 MFLOP/s"},
            {"name": "slow", "compute": "1 MFLOP/s"},
            {"name": "far", "compute": "4 MFLOP/s", "uplink": "200 kbit/s"},
        ],
        "links": {"downlink": "4 Mbit/s", "uplink": "4 Mbit/s"},
        "servers": [{"name": "gateway", "compute": "100 MFLOP/s"}],
    },
    "slow links": {
        "devices": [{"name": "board", "count": 4, "compute": "5 MFLOP/s"}],
        "links": {"downlink": "400 kbit/s", "uplink": "150 kbit/s"},
        "servers": [{"name": "gateway", "compute": "100 MFLOP/s"}],
    },
    "busy server": {
        "devices": [
            {"name": "fast", "count": 2, "compute": "6 MFLOP/s"},
            {"name": "slow", "count": 2, "compute": "2 MFLOP/s"},
        ],
        "links": {"downlink": "8 Mbit/s", "uplink": "8 Mbit/s"},
        "servers": [{"name": "gateway", "compute": "4 MFLOP/s"}],
    },
}
DATA = {"digits": (0.5, 1.2), "drawn": (1.5, 1.9)}
"""Data -> test losses: the target, and the loose one of three of the four calibrating runs."""
NETWORKS = ("cnn", "mlp")
RATES = {0.0: 0.3, 0.9: 0.06}
"""Momentum -> learning rate."""
SIZES, INTERVALS = (4, 8, 16, 32), (1, 5, 20)
SAMPLES, MOST, EVERY = 320, 800, 5
CALIBRATED, TRAINED = 0, 1
"""The seeds: of the curve, and of the plans that are held against it."""


@dataclass(frozen=True)
class Case:
    """What is calibrated, planned and trained."""

    data: str
    network: str
    fleet: str
    momentum: float

    def __str__(self) -> str:
        return f"{self.data}, {self.network}, {self.fleet}, momentum {self.momentum:g}"

    @property
    def options(self) -> Options:
        """The step rule."""
        return Options(learning_rate=RATES[self.momentum], momentum=self.momentum)

    def scenario(self, folder: Path, **more: Any) -> Scenario:
        """Return the fleet with the network's profile."""
        own = FLEETS[self.fleet]
        devices = [{**one, "samples": SAMPLES, "batch_size": 16} for one in own["devices"]]
        model: Any = "cnn-digits"
        if self.network == "mlp":
            import torch

            file = folder / "mlp.json"
            if not file.exists():
                trace(mlp(), torch.zeros(1, 1, 8, 8), name="mlp").profile.save(file)
            model = {"file": str(file)}
        return Scenario.from_dict(
            {"format": "splitopt-scenario", "version": 1, "name": "held", "model": model, **own,
             "devices": devices, "training": {"epochs": 1, "rounds": 20}, **more}
        )  # fmt: skip

    def job(self, made: Plan, seed: int) -> TrainingJob:
        """Return the training of a plan."""
        data: Any = "digits" if self.data == "digits" else drawn()
        model = mlp(seed) if self.network == "mlp" else None
        return TrainingJob(made, model, data=data, partition="iid", options=self.options, seed=seed)


def cases() -> list[Case]:
    """Return half of all combinations, in which each two levels of two factors meet."""
    every = itertools.product(*(enumerate(one) for one in (FLEETS, DATA, NETWORKS, RATES)))
    chosen = []
    for (f, fleet), (d, data), (n, network), (m, momentum) in every:
        if (f + d + n + m) % 2 == 0:
            chosen.append(Case(data, network, fleet, momentum))
    return chosen


def mlp(seed: int = 0) -> Any:
    """Return a network of fully connected layers for images of 1 x 8 x 8, its weights by a seed."""
    import torch
    from torch import nn

    torch.manual_seed(seed)

    widths = (64, 96, 64, 48)
    layers: list[Any] = [nn.Flatten()]
    for given, taken in itertools.pairwise(widths):
        layers += [nn.Linear(given, taken), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 10))


def drawn() -> tuple[Any, Any]:
    """Return 1,800 drawn images of 1 x 8 x 8: a smooth pattern for each of ten classes, and noise.

    Noise is twice as strong as the pattern, and a fifth of the samples has any label.
    """
    rng = np.random.default_rng(0)
    rough = rng.standard_normal((10, 10, 10))
    smooth = sum(rough[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)) / 3.0
    labels = rng.integers(0, 10, 1800)
    images = smooth[labels] + 2.0 * rng.standard_normal((1800, 8, 8))
    told = np.where(rng.random(1800) < 0.2, rng.integers(0, 10, 1800), labels)
    return images[:, None].astype(np.float32), told.astype(np.int64)


def held(case: Case, folder: Path) -> dict[str, Any]:
    """Calibrate a case, plan by the curve and without a model of rounds, and train both plans."""
    begin, (target, loose) = time.process_time(), DATA[case.data]
    wanted = Wanted(
        "test_loss", target, loose, batch_size=(SIZES[0], SIZES[-1]),
        aggregation_interval=(1, INTERVALS[-1]), seeds=(CALIBRATED,), most_rounds=MOST,
        evaluate_every=EVERY,
    )  # fmt: skip
    curve = calibrate(case.scenario(folder), wanted, case.job)
    section = {
        "curve": curve.to_dict(),
        "batch_size": list(SIZES),
        "aggregation_interval": list(INTERVALS),
        "cuts": "per_device",
        "extrapolate": True,  # cuts between the corners have shares of parameters between theirs
    }
    asked = case.scenario(folder, time_to_accuracy=section)
    trained: dict[str, float | None] = {}
    found: dict[str, Any] = {"reference_runs": curve.reference_runs}
    for name, solver in (("plan", "exact"), ("no model", "no_model")):
        made = plan(asked, problem="time_to_accuracy", solver=solver)
        told = made.prediction
        if str(made.decision) not in trained:  # both ways may end in one plan
            job = case.job(made, TRAINED)
            course = train_until(job, "test_loss", target, most=MOST, every=EVERY)
            trained[str(made.decision)] = course.reaching(target)
        found[name] = {
            "predicted_rounds": told["rounds"],
            "round_s": told["round_s"],
            "trained_rounds": trained[str(made.decision)],
            "cuts": sorted({one["cut"] for one in told["devices"]}),
            "batch_sizes": sorted({one["batch_size"] for one in told["devices"]}),
            "interval": told["aggregation_interval"],
        }
    return {**found, "cpu_s": time.process_time() - begin}


def held_table(kept: Path | None, chosen: list[Case]) -> Table:
    """Run what is not kept yet, and list predicted beside trained time."""
    known = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    rows: list[list[Any]] = []
    errors: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in chosen:
            if str(case) not in known:
                known[str(case)] = held(case, Path(folder))
                print(f"  {case}: {known[str(case)]['cpu_s']:.0f} CPU-s", flush=True)
                if kept is not None:
                    write_atomic(kept, json.dumps(known, indent=1) + "\n")
            rows.append(_row(case, known[str(case)], errors))
    head = ["data", "network", "fleet", "momentum", "cuts", "batch sizes", "interval"]
    head += ["predicted, s", "trained, s", "off by, %", "no model, trained, s"]
    head += ["gain predicted, %", "gain trained, %"]
    reached = np.array(errors)
    note = (
        "Curves of one seed from four corners, plans by `exact` with a cut for each device, each "
        f"trained with another seed to the target (test loss {_targets()}). Predicted time is off "
        "by "
        f"{np.median(reached):.0f} % in the median and {reached.max():.0f} % at most over "
        f"{len(reached)} of {len(rows)} plans that reached it. Gains are against the plan of "
        "`no_model`, by the curve and as trained."
    )
    return Table("held", head, rows, note, text=(0, 1, 2, 3, 4, 5, 6), digits=1)


def _targets() -> str:
    return ", ".join(f"{target:g} for {name}" for name, (target, _) in DATA.items())


def _row(case: Case, run: dict[str, Any], errors: list[float]) -> list[Any]:
    own, other = run["plan"], run["no model"]
    predicted = own["predicted_rounds"] * own["round_s"]
    trained, rival = (
        None if one["trained_rounds"] is None else one["trained_rounds"] * one["round_s"]
        for one in (own, other)
    )
    if trained is not None:
        errors.append(100 * abs(predicted / trained - 1))
    told = 100 * (other["predicted_rounds"] * other["round_s"] / predicted - 1)
    real = None if trained is None or rival is None else 100 * (rival / trained - 1)
    words = [
        " ".join(map(str, own["cuts"])), " ".join(map(str, own["batch_sizes"])),
        str(own["interval"]),
    ]  # fmt: skip
    return [
        case.data, case.network, case.fleet, f"{case.momentum:g}", *words, predicted,
        "never" if trained is None else trained, "–" if trained is None else errors[-1],
        "never" if rival is None else rival, told, "–" if real is None else real,
    ]  # fmt: skip
