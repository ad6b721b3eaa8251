"""``python -m benchmarks.pairing [FOLDER]``: whom Algorithm 2 helps, and larger pairings."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers.tables import Table
from benchmarks.tables import output_folder
from splitopt import GeneratorPairing, solve
from splitopt.bench.instances.families import generator_pairing as families
from splitopt.bench.running.machine import describe_machine
from splitopt.solvers.generator_pairing.set_cover import load_loops

RESULTS = Path(__file__).parent / "results"
LABELS = 10
DRAWS = 400
FLEETS = (5, 10, 20)
PLAIN = ((100, 15), (300, 20), (1000, 20))
CAPPED = ((60, 10), (200, 15))
OPTIONS = ((30, 10), (100, 15))
LIMIT_S = 60.0


def drawn(rng: np.random.Generator, devices: int, classes: int) -> GeneratorPairing:
    """Draw devices with so many random classes each; a class that nobody has counts nowhere."""
    rows = [sorted(rng.permutation(LABELS)[:classes].tolist()) for _ in range(devices)]
    return GeneratorPairing(np.ones((devices, devices)), classes=rows)


def answers_table() -> Table:
    """Count the devices for which no single generator covers all that they lack."""
    rows: list[list[Any]] = []
    for classes in (2, 4, 6, 8):
        row: list[Any] = [f"{classes}"]
        for devices in FLEETS:
            rng = np.random.default_rng(classes)
            lacking = without = sent = 0
            for _ in range(DRAWS):
                problem = drawn(rng, devices, classes)
                lacking += int((problem.need.sum(axis=1) > 0).sum())
                without += len(problem.without_one_partner)
                result = solve(problem)
                sent += int(result.objective) if result.is_feasible else 0
            row += [100 * without / lacking, sent / (DRAWS * devices)]
        rows.append(row)
    head = ["classes of 10"]
    for devices in FLEETS:
        head += [f"{devices} devices: without answer, %", "fewest senders"]
    note = (
        f"Devices with so many random classes each, {DRAWS} draws: for how many of those that "
        "lack some Algorithm 2 has no answer, and how many generators a device needs on average at "
        "least (`set_cover`, transfers that cost the same)."
    )
    return Table("answers", head, rows, note, digits=1)


def plain_table() -> Table:
    """Time exact and greedy pairings without caps."""
    rows: list[list[Any]] = []
    for family in ("links", "unrelated", "equal"):
        for devices, labels in PLAIN:
            problem = getattr(families, family)(0, devices, labels)
            begin = time.process_time()
            result = solve(problem)
            own = time.process_time() - begin
            greedy = solve(problem, "greedy")
            rows.append(
                [
                    f"`{family}`, {devices} x {labels}",
                    result.outcome,
                    result.times.total_s,
                    own,
                    100 * (greedy.objective / result.objective - 1),
                    100 * greedy.gap,
                ]
            )
    head = (
        "devices x labels",
        "`set_cover`",
        "seconds",
        "CPU seconds",
        "`greedy` above, %",
        "it proves, %",
    )
    note = "Without caps: the exact solver, and how far above it the greedy rule ends."
    return Table("plain", head, rows, note, text=(0, 1))


def capped_table() -> Table:
    """Time proofs with caps."""
    rows: list[list[Any]] = []
    for family in ("capped", "crowded"):
        for devices, labels in CAPPED:
            for seed in range(3):
                problem = getattr(families, family)(seed, devices, labels)
                rows.append(_row(f"`{family}`, {devices} x {labels}, seed {seed}", problem))
    note = f"With a cap on every sender, at most {LIMIT_S:g} s."
    return Table("capped", _HEAD, rows, note, text=(0, 1), digits=2)


def options_table() -> Table:
    """Time the options that need a program for every device."""
    rows: list[list[Any]] = []
    for family in ("several", "redundant", "quality"):
        for devices, labels in OPTIONS:
            problem = getattr(families, family)(0, devices, labels)
            rows.append(_row(f"`{family}`, {devices} x {labels}", problem))
    note = f"With options, at most {LIMIT_S:g} s."
    return Table("options", _HEAD, rows, note, text=(0, 1), digits=2)


_HEAD = ("devices x labels", "outcome", "gap, %", "seconds", "CPU seconds")


def _row(name: str, problem: GeneratorPairing) -> list[Any]:
    begin = time.process_time()
    result = solve(problem, time_limit_s=LIMIT_S)
    own = time.process_time() - begin
    gap = None if np.isinf(result.gap) else 100 * result.gap
    return [name, result.outcome, gap, result.times.total_s, own]


def main(arguments: list[str]) -> int:
    """Write all tables into a folder, `RESULTS` by default."""
    if (folder := output_folder(arguments, "benchmarks.pairing", RESULTS)) is None:
        return 2
    machine = describe_machine()
    print(f"{machine['processor']}, one thread, Python {machine['python']}\n")
    load_loops()
    for make in (answers_table, plain_table, capped_table, options_table):
        table = make()
        table.save(folder)
        print(table.markdown(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
