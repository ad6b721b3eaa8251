"""``python -m benchmarks.scale``: how time and memory of `exact` grow with the fleet."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scale import ladder
from benchmarks.tables import cells, write_rows
from splitopt.bench.running.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
COLUMNS = {
    "devices": ("devices", "{:,}"),
    "family": ("family", "`{}`"),
    "form": ("given as", "{}"),
    "objective": ("objective", "{}"),
    "time_s": ("time in s", "{:.3f}"),
    "gap": ("certified gap", "{:.1e}"),
    "passes": ("passes", "{}"),
    "peak_mib": ("peak memory in MiB", "{:.0f}"),
    "warm_s": ("again after 1 % noise, s", "{:.3f}"),
    "warm_gap": ("its gap", "{:.1e}"),
}
SCIP_COLUMNS = {
    "devices": ("devices", "{:,}"),
    "family": ("family", "`{}`"),
    "exact_s": ("`exact` in s", "{:.3f}"),
    "exact_gap": ("its gap", "{:.1e}"),
    "scip_s": ("SCIP in s", "{:.1f}"),
    "scip_gap": ("its gap", "{:.1e}"),
    "ratio": ("SCIP / `exact`", "{:.0f}"),
    "difference": ("SCIP's value above, relatively", "{:.1e}"),
}


def main(arguments: Sequence[str]) -> int:
    """Measure, print every row, and write ``scale`` and ``scip`` as CSV and Markdown."""
    options = _options(arguments)
    environment = dict(os.environ)
    options.output.mkdir(parents=True, exist_ok=True)
    sizes = [*options.sizes, *options.last_sizes, *options.table_sizes]
    first = ladder.warm_up(environment) if ladder.compiles(sizes) else None
    machine = describe_machine()
    note = (
        f"{machine['processor']}, one thread, Python {machine['python']}; every row a process of "
        f"its own, whose peak memory includes Python and the data; {ladder.LAYERS} cuts. "
    )
    compiled = (
        ""
        if first is None
        else f"The first run of all, {first:.1f} s, may have compiled the loops."
    )
    rows = [
        *_shown(ladder.growing(options.sizes, options.families, environment), COLUMNS),
        *_shown(ladder.growing(options.last_sizes, options.families[:1], environment), COLUMNS),
        *_shown(ladder.from_files(options.table_sizes, environment), COLUMNS),
    ]
    write_rows(options.output / "scale", rows, COLUMNS, note + compiled)
    if not options.no_scip:
        rows = list(_shown(ladder.beside_scip(environment), SCIP_COLUMNS))
        write_rows(options.output / "scip", rows, SCIP_COLUMNS, note + "The same sum problems.")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    sizes = [10, 100, 1000, 100_000, 1_000_000]
    parser.add_argument("--sizes", nargs="*", type=_size, default=sizes, help="such as 1e5 1e6")
    parser.add_argument(
        "--last-sizes", nargs="*", type=_size, default=[10**7], help="for the first family alone"
    )
    parser.add_argument(
        "--table-sizes", nargs="*", type=_size, default=[1_000_000], help="sizes read from .npz"
    )
    parser.add_argument(
        "--families", nargs="*", choices=ladder.FAMILIES, default=list(ladder.FAMILIES)
    )
    parser.add_argument("--no-scip", action="store_true", help="leave out the comparison with SCIP")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    return parser.parse_args(arguments)


def _size(text: str) -> int:
    value = float(text)
    if value != int(value) or value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of devices")
    return int(value)


def _shown(
    rows: Iterable[dict[str, Any]], columns: dict[str, tuple[str, str]]
) -> Iterable[dict[str, Any]]:
    """Pass rows on and print them as they come."""
    for row in rows:
        print("  ".join(cells(row, columns)), flush=True)
        yield row


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
