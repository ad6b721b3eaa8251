"""``python -m benchmarks.papers.iotsl [FOLDER] [--parts NAME ...] [--quick]``: IoTSL's numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.papers.iotsl import arithmetic
from benchmarks.papers.iotsl.replay.tables import FULL, PARTS, QUICK
from benchmarks.papers.tables import Table

RESULTS = Path(__file__).parent / "results"
ARITHMETIC = "arithmetic"
"""The part that trains nothing, which is made by default."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write and print the tables of some parts."""
    parser = argparse.ArgumentParser("python -m benchmarks.papers.iotsl", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS)
    parser.add_argument(
        "--parts", nargs="+", choices=(ARITHMETIC, *PARTS), default=(ARITHMETIC,), metavar="NAME"
    )
    parser.add_argument("--quick", action="store_true", help="about a minute, not to be kept")
    parser.add_argument("--seeds", type=int, metavar="N", help="runs of each cell, 1 by default")
    parser.add_argument("--workers", type=int, default=1, help="processes, of one thread each")
    parser.add_argument(
        "--kept", type=Path, default=Path("out/iotsl-replay.json"), help="outcomes, to go on from"
    )
    given = parser.parse_args(arguments)
    for folder in (given.folder, given.kept.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for table in _tables(given):
        table.save(given.folder)
        print(table.markdown())
    return 0


def _tables(given: argparse.Namespace) -> Iterator[Table]:
    if ARITHMETIC in given.parts:
        yield from arithmetic.tables()
    if trained := [part for part in given.parts if part != ARITHMETIC]:
        from benchmarks.papers.iotsl.replay.run import replayed

        size = QUICK if given.quick else FULL
        if given.seeds is not None:
            size = replace(size, seeds=given.seeds)
        yield from replayed(trained, size, given.kept, given.workers)


if __name__ == "__main__":
    sys.exit(main())
