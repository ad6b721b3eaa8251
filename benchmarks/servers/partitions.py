"""``python -m benchmarks.servers.partitions``: number partitioning by `exact`, to a proof."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.servers.__main__ import RESULTS
from benchmarks.tables import output_folder, printed, write_rows
from splitopt import solve
from splitopt.bench.instances.number_partitioning import partitions
from splitopt.bench.running.machine import describe_machine

LIMIT_S = 60.0
SEEDS = 2
COLUMNS = {
    "devices": ("devices", "{}"),
    "resources": ("resources", "{}"),
    "kind": ("resources are", "{}"),
    "proved": ("proved", "{}"),
    "gap": ("worst certified gap", "{:.1e}"),
    "time_s": ("worst CPU time in s", "{:.2f}"),
}


def main(arguments: list[str]) -> int:
    """Measure, print every row, and write ``partitions`` as CSV and Markdown."""
    if (folder := output_folder(arguments, "benchmarks.servers.partitions", RESULTS)) is None:
        return 2
    rows = printed(measured(), COLUMNS, " | ")
    machine = describe_machine()
    note = (
        f"{machine['processor']}, Python {machine['python']}, limit {LIMIT_S:g} s by the clock; "
        f"the makespan of the family `partitions`, {SEEDS} fleets each."
    )
    write_rows(folder / "partitions", rows, COLUMNS, note)
    return 0


def measured(
    sizes: tuple[int, ...] = (15, 30, 60, 100), counts: tuple[int, ...] = (2, 3)
) -> Iterator[dict[str, Any]]:
    """Yield a row for every size of a fleet, number of resources and kind."""
    solve(partitions(0, 12).with_objective("makespan"), "exact")  # imports
    for resources in counts:
        for unequal in (0, 1):
            for devices in sizes:
                times, gaps, proved = [], [], 0
                for seed in range(SEEDS):
                    drawn = partitions(seed, devices, resources, unequal)
                    begin = time.process_time()
                    found = solve(drawn.with_objective("makespan"), "exact", time_limit_s=LIMIT_S)
                    times.append(time.process_time() - begin)
                    gaps.append(found.gap)
                    proved += found.outcome == "optimal"
                yield {
                    "devices": devices,
                    "resources": resources,
                    "kind": "unequal" if unequal else "equal",
                    "proved": f"{proved} of {SEEDS}",
                    "gap": max(gaps),
                    "time_s": max(times),
                }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
