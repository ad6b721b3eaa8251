"""``python -m benchmarks.groups``: from the file of a large fleet to the file of its plan."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.groups.case import measure
from benchmarks.groups.fleets import different, grouped
from benchmarks.tables import cells, write_rows
from splitopt.bench.running.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
COLUMNS = {
    "form": ("given as", "{}"),
    "devices": ("devices", "{:,}"),
    "groups": ("entries or rows", "{:,}"),
    "objective": ("objective", "{}"),
    "file_s": ("file to file in s", "{:.2f}"),
    "read_s": ("of it reading", "{:.2f}"),
    "solve_s": ("solving", "{:.2f}"),
    "save_s": ("writing", "{:.2f}"),
    "cpu_s": ("processor time of all, s", "{:.2f}"),
    "whole_s": ("with Python's start", "{:.2f}"),
    "peak_mib": ("peak memory in MiB", "{:.0f}"),
    "gap": ("certified gap", "{:.1e}"),
    "parts": ("parts of the plan", "{:,}"),
    "plan_mb": ("plan file in MB", "{:.3f}"),
}


def main(arguments: Sequence[str]) -> int:
    """Measure, print every row, and write ``groups`` as CSV and Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.groups", description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000_000, help="in 20 groups")
    parser.add_argument("--rows", type=int, default=1_000_000, help="different devices in a file")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    arrow = importlib.util.find_spec("pyarrow") is not None
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cases = [("YAML", grouped(options.devices, folder))]
        cases += [("CSV", different(options.rows, folder, "csv"))]
        cases += [("Parquet", different(options.rows, folder, "parquet"))] if arrow else []
        for name, scenario in cases:
            measure(scenario, "sum", folder / "plan.json")  # compiles what is not compiled yet
            for objective in ("sum", "makespan"):
                row = {"form": name, **measure(scenario, objective, folder / "plan.json")}
                print("  ".join(cells(row, COLUMNS)), flush=True)
                rows.append(row)
    machine = describe_machine()
    note = (
        f"{machine['processor']}, one thread, Python {machine['python']}; every row a process of "
        "its own, whose peak memory includes Python. Made by `python -m benchmarks.groups`."
    )
    write_rows(options.output / "groups", rows, COLUMNS, note)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
