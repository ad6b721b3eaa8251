"""``python -m benchmarks.time_to_accuracy [--quick | --speed | --held] [FOLDER]``.

Without a flag, rounds of the shipped network on the digits are trained over a grid of batch sizes,
cuts and intervals and held against models of rounds; every run is kept in ``cells.json``, and an
interrupted benchmark goes on. ``--quick`` trains a small grid in two minutes, and writes nothing.
``--speed`` times the exact solver instead, and ``--held`` calibrates, plans and trains the plans
of two data sets, three fleets and two networks, with momentum and without, and lists predicted
beside trained time; its runs are kept in ``held.json``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers.tables import Table
from benchmarks.tables import output_folder
from benchmarks.time_to_accuracy.held import cases, held_table
from benchmarks.time_to_accuracy.models import Trained, losses, models, trained
from benchmarks.time_to_accuracy.trained import FULL, QUICK, Cells, Study, reference
from splitopt import solve
from splitopt.bench.instances.families import time_to_accuracy as families
from splitopt.bench.running.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
FLEETS = 50
SPEED = (("fleet", 100, 1e-6), ("fleet", 10_000, 1e-4), ("per_device", 100, 1e-6),
         ("per_device", 10_000, 1e-4))  # fmt: skip
LIMIT_S, RULE_S = 60.0, 10.0


def rounds_table(study: Study, found: Trained, partition: str) -> Table:
    """List the trained rounds of every plan beside those of every model."""
    every = models(study, found)
    rows: list[list[Any]] = []
    for setting in study.settings():
        own = found.rounds[setting]
        row: list[Any] = [str(setting), own if np.isfinite(own) else "never"]
        for model in every.values():
            value = model(setting)
            row.append(value if np.isfinite(value) else "never")
        rows.append(row)
    head = ["plan", "trained", *every]
    constants = found.cells[reference(study), study.seeds[0]]["constants"]
    steep = constants["learning_rate"] * constants["smoothness"]
    note = (
        f"Rounds to a test loss of {study.target:g}, digits shared out by `{partition}`, learning "
        f"rate {study.rate:g}, mean of {len(study.seeds)} seeds; models know the first seed "
        "alone, and the bound is set so that it is exact for its run of largest batches with an "
        "interval of 1. Step size times smoothness, which the bound needs to be at most 1, was up "
        f"to {steep:.1f}."
    )
    name = f"rounds-{partition.replace(':', '-')}"
    return Table(name, head, rows, note, digits=1)


def models_table(study: Study, by_partition: dict[str, Trained], fleets: int) -> Table:
    """Count how far off the models are, and what planning with them loses."""
    rows: list[list[Any]] = []
    for partition, found in by_partition.items():
        for name, model in models(study, found).items():
            errors, unreachable, reached = [], 0, 0
            for setting, own in found.rounds.items():
                if not np.isfinite(own):
                    continue
                reached += 1
                value = model(setting)
                if np.isfinite(value):
                    errors.append(abs(value / own - 1))
                else:
                    unreachable += 1
                    errors.append(np.inf)
            ratio = np.array(losses(study, found, model, fleets))
            planned = np.isfinite(ratio)
            rows.append(
                [
                    partition,
                    name,
                    f"{unreachable} of {reached}",
                    _percent(np.median(errors)),
                    _percent(np.quantile(errors, 0.9, method="higher")),
                    f"{int(planned.sum())} of {fleets}",
                    _percent(ratio[planned].mean() - 1) if planned.any() else "–",
                    _percent(ratio[planned].max() - 1) if planned.any() else "–",
                ]
            )
    head = [
        "partition",
        "model of rounds",
        "trained plans it calls unreachable",
        "median error, %",
        "90th percentile, %",
        "fleets with a plan",
        "plan longer than the best by, % (mean)",
        "(worst)",
    ]
    note = (
        f"Each model held against all trained plans, the runs it was made of included, and against "
        f"the best plan of {fleets} drawn fleets, both plans valued by the trained rounds."
    )
    return Table("models", head, rows, note, text=(0, 1))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}" if np.isfinite(fraction) else "infinite"


def speed_table() -> Table:
    """Time proofs of growing fleets."""
    rows: list[list[Any]] = []
    solve(families.fleet(0, 2), "exact")  # compiles its loop, which is no part of the time
    for family, devices, rel_gap in SPEED:
        for seed in range(3):
            problem = getattr(families, family)(seed, devices)
            begin = time.process_time()
            result = solve(problem, "exact", rel_gap=rel_gap, time_limit_s=LIMIT_S)
            row = [f"`{family}`, {devices:,}, seed {seed}", f"{rel_gap:.0e}", f"{result.gap:.1e}"]
            own = time.process_time() - begin
            row += [result.times.total_s, own, f"{result.details['cells']:,}"]
            for name in ("uniform_batch", "no_model", "hasfl", "adaptsfl"):
                other = solve(problem, name, time_limit_s=RULE_S)
                row.append(100 * (other.objective / result.objective - 1))
            rows.append(row)
    head = ["family, devices", "gap asked for", "gap", "seconds", "CPU seconds", "cells"]
    head += [
        f"`{name}` longer by, %" for name in ("uniform_batch", "no_model", "hasfl", "adaptsfl")
    ]
    note = (
        "Generated fleets with six layers, five batch sizes and three intervals. The convergence "
        "bound of these instances was made to call some plans reachable, so that the rules that "
        "plan with it have one."
    )
    return Table("speed", head, rows, note)


def main(arguments: list[str]) -> int:
    """Print and write the tables; `--quick` writes none."""
    flags = {flag for flag in ("--quick", "--speed", "--held") if flag in arguments}
    rest = [argument for argument in arguments if argument not in flags]
    if (
        len(flags) > 1
        or (folder := output_folder(rest, "benchmarks.time_to_accuracy", RESULTS)) is None
    ):
        return 2
    machine = describe_machine()
    print(f"{machine['processor']}, Python {machine['python']}\n")
    if "--speed" in flags:
        table = speed_table()
        table.save(folder)
        print(table.markdown(), flush=True)
        return 0
    if "--held" in flags:
        table = held_table(folder / "held.json", cases())
        table.save(folder)
        print(table.markdown(), flush=True)
        return 0
    study, kept = (QUICK, None) if "--quick" in flags else (FULL, folder / "cells.json")
    cells = Cells(kept)
    found = {name: trained(cells, study, name) for name in study.partitions}
    tables = [rounds_table(study, own, name) for name, own in found.items()]
    tables.append(models_table(study, found, 10 if kept is None else FLEETS))
    for table in tables:
        if kept is not None:
            table.save(folder)
        print(table.markdown(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
