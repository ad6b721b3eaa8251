"""``python -m benchmarks.cold [FOLDER]``: first runs on an empty cache of machine code."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.cold import cases
from benchmarks.tables import Columns, output_folder, printed, write_rows
from splitopt.bench.running.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
SECONDS = "{:.2f}"
PLANS: Columns = {
    "scenario": ("scenario", "`{}`"),
    "first_s": ("first plan, s", SECONDS),
    "first_cpu_s": ("CPU s", SECONDS),
    "next_s": ("next plan, s", SECONDS),
    "next_cpu_s": ("its CPU s", SECONDS),
}
LOADS: Columns = {
    "solver": ("solver", "`{}`"),
    "family": ("on", "`{}`"),
    "size": ("size", "{}"),
    "cold_s": ("compiled, s", SECONDS),
    "cold_cpu_s": ("CPU s", SECONDS),
    "kept_s": ("kept, s", SECONDS),
    "kept_cpu_s": ("its CPU s", SECONDS),
}
STARTS: Columns = {
    "command": ("command", "`{}`"),
    "wall_s": ("s", SECONDS),
    "cpu_s": ("CPU s", SECONDS),
}


def main(arguments: list[str]) -> int:
    """Measure, print every row, and write the tables into a folder, `RESULTS` by default."""
    if (folder := output_folder(arguments, "benchmarks.cold", RESULTS)) is None:
        return 2
    machine = describe_machine()
    note = (
        f"{machine['processor']}, {machine['cores']} cores, one thread, Python "
        f"{machine['python']}; a fresh process for every row (`python -m benchmarks.cold`):"
    )
    for name, found, columns in (
        ("starts", cases.starts(), STARTS),
        ("plans", cases.plans(), PLANS),
        ("loads", cases.loads(), LOADS),
    ):
        write_rows(folder / name, printed(found, columns), columns, note)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
