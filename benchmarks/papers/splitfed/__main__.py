"""``python -m benchmarks.papers.splitfed [FOLDER] [--quick]``: SplitFed's Fig. 2-5, small."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.papers.splitfed.noise import accounts, noisy_runs
from benchmarks.papers.splitfed.users import FULL, QUICK, over_users

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and account, and write and print the tables."""
    parser = argparse.ArgumentParser("python -m benchmarks.papers.splitfed", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="a minute's worth, not to be kept")
    given = parser.parse_args(arguments)
    size = QUICK if given.quick else FULL
    given.folder.mkdir(parents=True, exist_ok=True)
    for make in (accounts, lambda: noisy_runs(size, _tell), lambda: over_users(size, _tell)):
        table = make()
        table.save(given.folder)
        print(table.markdown())
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
