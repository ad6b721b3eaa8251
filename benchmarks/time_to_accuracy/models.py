"""Four models of rounds, held against trained ones, and what plans made with them lose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.time_to_accuracy.trained import SCENARIO, Cells, Study, depth, reference
from splitopt import Scenario, solve
from splitopt.problems.time_to_accuracy import TimeToAccuracy
from splitopt.problems.time_to_accuracy.convergence_bound import promised_rounds
from splitopt.profiles.fitting.rounds_fit import RoundsRun, fit_rounds, predicted
from splitopt.training.calibration.given import Setting

Model = Callable[[Setting], float]
DEVICES = 4


@dataclass(frozen=True)
class Trained:
    """The mean rounds of every plan of a partition, infinite where a seed never got there."""

    rounds: Mapping[Setting, float]
    cells: Mapping[tuple[Setting, int], Mapping[str, Any]]


def trained(cells: Cells, study: Study, partition: str) -> Trained:
    """Train, or look up, all plans of a partition."""
    every = {
        (setting, seed): cells.of(study, partition, setting, seed)
        for setting in study.settings()
        for seed in study.seeds
    }
    rounds = {}
    for setting in study.settings():
        runs = [every[setting, seed]["rounds"] for seed in study.seeds]
        rounds[setting] = float(np.mean(runs)) if None not in runs else np.inf
    return Trained(rounds, every)


def models(study: Study, found: Trained) -> dict[str, Model]:
    """Return the models by name, each made of the runs of the first seed alone."""
    seed = study.seeds[0]
    first = reference(study)
    known = found.cells[first, seed]
    constants = dict(known["constants"])
    constants["second_moment"] = np.array(constants["second_moment"])

    def bound(setting: Setting) -> float:
        steps = setting.aggregation_interval
        return float(promised_rounds(constants, setting.inverse, setting.cut, steps, DEVICES))

    fit = fit_rounds([_run(s, found.cells[s, seed]) for s in corner_settings(study)])
    at_reference = float(predicted((1.0, *fit[1:3]), [_run(first, known)])[0])
    scale = known["rounds"] / at_reference

    def curve(setting: Setting) -> float:
        run = RoundsRun(setting.inverse, setting.aggregation_interval, depth(setting.cut), 1.0)
        return float(scale * predicted((1.0, *fit[1:3]), [run])[0])

    return {
        "curve, four corners": curve,
        "constant": lambda _: float(known["rounds"]),
        "convergence bound": bound,
    }


def corner_settings(study: Study) -> tuple[Setting, ...]:
    """Return the four corners of the grid."""
    few, many, most = study.sizes[0], study.sizes[-1], study.intervals[-1]
    low, high = study.cuts[0], study.cuts[-1]
    return (
        Setting(low, many, 1),
        Setting(low, few, 1),
        Setting(low, many, most),
        Setting(high, few, most),
    )


def _run(setting: Setting, known: Mapping[str, Any]) -> RoundsRun:
    reached = known["loose"] is not None
    rounds = known["loose"] if reached else float(known["trained"])
    return RoundsRun(
        setting.inverse, setting.aggregation_interval, depth(setting.cut), rounds, reached
    )


def fleet_problem(study: Study, table: Any, seed: int) -> TimeToAccuracy:
    """Draw a fleet that trains the network: speeds over a factor of ten, links over four."""
    rng = np.random.default_rng(seed)
    problem = TimeToAccuracy.from_scenario(
        _scenario(rng, study), Scenario.load(SCENARIO).load_model()
    )
    offered = np.isin(np.arange(problem.layers) + 1, study.cuts)
    most = np.where(offered, problem.largest_batch, 0)
    data = problem.data() | {"largest_batch": most, "rounds": table}
    return TimeToAccuracy(**data)


def _scenario(rng: np.random.Generator, study: Study) -> Scenario:
    document = Scenario.load(SCENARIO).to_dict()
    document["devices"] = [
        {
            "name": f"board-{n}",
            "compute": f"{10 ** rng.uniform(0, 1):.6g} MFLOP/s",
            "samples": 320,
            "uplink": f"{4 * 4 ** rng.uniform(-1, 0):.6g} Mbit/s",
        }
        for n in range(DEVICES)
    ]
    document["servers"] = [{"name": "edge", "compute": f"{10 ** rng.uniform(1, 2):.6g} MFLOP/s"}]
    document["links"]["shared"] = False
    document["time_to_accuracy"] = {
        "curve": {
            "format": "splitopt-rounds-curve",
            "version": 1,
            "name": "replaced by a table",
            "metric": "test_loss",
            "target": study.target,
            "rounds": 1.0,
            "batch_factor": 0.0,
            "interval_exponent": 0.0,
            "calibrated": {
                "batch_size": [study.sizes[0], study.sizes[-1]],
                "aggregation_interval": [1, study.intervals[-1]],
                "parameter_share": [0, 1],
                "devices": DEVICES,
            },
            "step_rule": {"learning_rate": study.rate},
        },
        "batch_size": list(study.sizes),
        "aggregation_interval": list(study.intervals),
    }
    return Scenario.from_dict(document)


def table_of(study: Study, model: Model, layers: int) -> dict[str, Any]:
    """Return a model as a table of rounds by batch size, cut and interval."""
    table = np.ones((len(study.sizes), layers, len(study.intervals)))
    reached = np.zeros(table.shape, dtype=np.bool_)
    for b, size in enumerate(study.sizes):
        for cut in study.cuts:
            for k, interval in enumerate(study.intervals):
                own = cut if interval > 1 else study.cuts[0]
                rounds = model(Setting(own, size, interval))
                reached[b, cut - 1, k] = np.isfinite(rounds)
                table[b, cut - 1, k] = rounds if np.isfinite(rounds) else 1.0
    return {"table": table, "reached": reached}


def losses(study: Study, found: Trained, model: Model, fleets: int) -> list[float]:
    """Return how many times as long the model's plan takes as the best one, for every fleet.

    Both are valued by the trained rounds, of a mixture of batch sizes as their mean; infinite where
    the model has no plan, or its plan never got there.
    """
    layers = Scenario.load(SCENARIO).load_model().layer_count
    true = table_of(study, lambda setting: found.rounds[setting], layers)
    believed = table_of(study, model, layers)
    ratios = []
    for seed in range(fleets):
        real = fleet_problem(study, true, seed)
        best = solve(real, "exact")
        own = solve(TimeToAccuracy(**real.data() | {"rounds": believed}), "exact")
        if own.decision is None:
            ratios.append(float("inf"))
            continue
        ratios.append(real.evaluate(own.decision) / best.objective)
    return ratios
