"""``python -m benchmarks.pipeline``: how fast `subset_dp` is, and integer programming beside it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.pipeline import cases
from benchmarks.tables import cells, write_rows
from splitopt.bench.running.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
CASE = {
    "family": ("family", "`{}`"),
    "layers": ("layers", "{:,}"),
    "nodes": ("nodes", "{}"),
    "objective": ("objective", "`{}`"),
}
SPEED = CASE | {
    "median_s": ("median in s", "{:.4f}"),
    "worst_s": ("slowest in s", "{:.4f}"),
    "cpu_s": ("processor in s", "{:.4f}"),
    "gap": ("certified gap", "{:.0e}"),
    "goal_s": ("goal in s", "{:g}"),
    "met": ("met", "{}"),
}
BESIDE = CASE | {
    "subset_dp_s": ("`subset_dp` in s", "{:.5f}"),
    **{f"{name}_s": (f"`{name}` in s", "{:.2f}") for name in cases.BACK_ENDS},
    "fastest": ("first proof", "{}"),
    "ratio": ("times `subset_dp`", "{:,.0f}"),
}


def main(arguments: Sequence[str]) -> int:
    """Measure, print every row, and write the tables as CSV and Markdown."""
    options = _options(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    note = (
        f"{machine['processor']}, one thread, Python {machine['python']}, load average "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start. "
    )
    seeds = range(options.seeds)
    warm = f"Warm; median of {options.repeats} runs on each of {options.seeds} seeds."
    if "speed" in options.tables:
        rows = []
        for case in cases.SPEED:
            rows.append(cases.speed_row(case, seeds, options.repeats))
            print("  ".join(cells(rows[-1], SPEED)), flush=True)
        write_rows(options.output / "speed", rows, SPEED, note + warm)
    if "beside" in options.tables:
        rows = []
        for case in cases.BESIDE:
            rows.append(cases.beside_row(case, options.repeats, options.limit))
            print("  ".join(cells(rows[-1], BESIDE)), flush=True)
        words = (
            f"{note}Seed 0; every run with a limit of {options.limit:g} s, models included. A back "
            f"end proves by its own tolerances (gap at most {cases.TOLERANCE:g}); a time at the "
            "limit is no proof. An empty place: the licence does not take the size."
        )
        write_rows(options.output / "beside", rows, BESIDE, words)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    tables = ["speed", "beside"]
    parser.add_argument("--tables", nargs="*", choices=tables, default=tables)
    parser.add_argument("--seeds", type=int, default=5, help="instances of each case")
    parser.add_argument("--repeats", type=int, default=5, help="runs on each instance")
    parser.add_argument("--limit", type=float, default=60.0, help="s for a back end")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
