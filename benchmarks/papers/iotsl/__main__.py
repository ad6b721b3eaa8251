"""``python -m benchmarks.papers.iotsl [FOLDER] [--parts NAME ...]``: IoTSL's numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.papers.iotsl import arithmetic
from benchmarks.papers.tables import Table

RESULTS = Path(__file__).parent / "results"
PARTS: dict[str, Callable[[], Iterable[Table]]] = {"arithmetic": arithmetic.tables}
"""Name -> what makes its tables, one after the other."""
QUICK = ("arithmetic",)
"""The parts that train nothing, which are made by default."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write and print the tables of some parts."""
    parser = argparse.ArgumentParser("python -m benchmarks.papers.iotsl", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=QUICK, metavar="NAME")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.parts:
        for table in PARTS[name]():
            table.save(given.folder)
            print(table.markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
