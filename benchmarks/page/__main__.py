"""``python -m benchmarks.page``: what the sliders of a plan's page prove, beside the solver."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.page.case import summary
from benchmarks.page.fleets import fleet
from benchmarks.tables import cells, write_rows
from splitopt import Scenario
from splitopt.bench.running.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
COLUMNS = {
    "fleet": ("fleet", "{}"),
    "objective": ("objective", "{}"),
    "changes": ("changes with a plan", "{}"),
    "proved": ("proved to 1e-9", "{}"),
    "gap_90": ("90 % of the gaps are below, %", "{:.2g}"),
    "gap_most": ("largest gap, %", "{:.2g}"),
    "off_most": ("largest distance from the optimum, %", "{:.2g}"),
    "false": ("floors above the optimum", "{}"),
    "cpu_ms": ("of the processor, ms, median", "{:.0f}"),
    "cpu_ms_90": ("90 % are below", "{:.0f}"),
}


def fleets() -> Iterator[tuple[str, Scenario]]:
    """Go through the fleets whose numbers are changed."""
    yield "DP-MORA, 10 devices", Scenario.load("dp-mora-resnet18")
    for devices in (3, 10, 30, 100):
        yield f"{devices} different devices", fleet(devices, devices)
    yield "10 groups of up to 1,000", fleet(1, 10, counts=1000)
    yield "10 alike devices in 10 entries", fleet(2, 10, alike=True)
    yield "10 devices, links of their own", fleet(3, 10, shared=False)
    yield "12 devices, memory of 2 GB", fleet(4, 12, memory="2 GB")


def main(arguments: Sequence[str]) -> int:
    """Measure, print every row, and write the table as CSV and Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--changes", type=int, default=25, help="of each fleet and objective")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    note = (
        f"{machine['processor']}, one thread, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} "
        "processors when it began. Made by `python -m benchmarks.page`."
    )
    rows = []
    for name, scenario in fleets():
        for objective in ("sum", "makespan"):
            row = summary(name, scenario, objective, options.changes)
            print("  ".join(cells(row, COLUMNS)), flush=True)
            rows.append(row)
    write_rows(options.output / "changes", rows, COLUMNS, note)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
