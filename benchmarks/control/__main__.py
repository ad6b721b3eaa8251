"""``python -m benchmarks.control``: how soon plans follow a fleet, and what that is worth."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.control.case import regret, replans
from benchmarks.tables import cells, write_rows
from splitopt.bench.running.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
REPLANS = {
    "devices": ("devices", "{:,}"),
    "objective": ("objective", "{}"),
    "event": ("event", "{}"),
    "wall_ms": ("re-plan in ms, median", "{:.2f}"),
    "wall_most_ms": ("largest", "{:.2f}"),
    "cpu_ms": ("of the processor", "{:.2f}"),
    "gap": ("largest certified gap", "{:.1e}"),
    "by_solver": ("closed by exact", "{}"),
    "cold_ms": ("solved anew, ms", "{:.0f}"),
}
REGRET = {
    "devices": ("devices", "{:,}"),
    "objective": ("objective", "{}"),
    "delay": ("delay in rounds", "{}"),
    "policy": ("policy", "{}"),
    "regret": ("mean above clairvoyant in %", "{:.3f}"),
    "gap": ("largest certified gap", "{:.1e}"),
    "moved": ("changes of cuts", "{:,}"),
}


def main(arguments: Sequence[str]) -> int:
    """Measure, print every row, and write both tables as CSV and Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control", description=__doc__)
    parser.add_argument("--devices", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--rounds", type=int, default=100, help="of the traces")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    load = os.getloadavg()[0]
    note = (
        f"{machine['processor']}, one thread, Python {machine['python']}, load {load:.1f} on "
        f"{os.cpu_count()} processors when it began. Made by `python -m benchmarks.control`."
    )
    rows = []
    for devices in options.devices:
        for objective in ("sum", "makespan"):
            for row in replans(devices, objective, 50 if devices <= 10_000 else 15):
                print("  ".join(cells(row, REPLANS)), flush=True)
                rows.append(row)
    write_rows(options.output / "replans", rows, REPLANS, note)
    rows = []
    for objective, delay in (("sum", 0), ("sum", 1), ("makespan", 0), ("makespan", 1)):
        for row in regret(30, options.rounds, objective, delay):
            print("  ".join(cells(row, REGRET)), flush=True)
            rows.append(row)
    about = "The rates are generated (Gauss-Markov shadowing), not measured. "
    write_rows(options.output / "regret", rows, REGRET, about + note)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
