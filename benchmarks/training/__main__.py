"""``python -m benchmarks.training``: the schemes against each other, by round and by time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.training.checks import checks, checks_table
from benchmarks.training.figures import figure_5, figure_5_lenet, figure_6
from benchmarks.training.plot import figure_5_svg
from benchmarks.training.runs import Runs
from benchmarks.training.settings import SETTINGS
from benchmarks.training.splitfed import table_5
from splitopt.errors import SplitoptError
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str]) -> int:
    """Train what is missing, then write tables, the picture and the checks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS, help="where results go")
    parser.add_argument("--again", action="store_true", help="train all, also what is there")
    wanted = parser.parse_args(arguments)
    wanted.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    runs = (
        Runs(wanted.folder / "runs.csv") if wanted.again else Runs.load(wanted.folder / "runs.csv")
    )
    try:
        for setting in SETTINGS:
            runs.fill(setting, lambda line: print(line, file=sys.stderr, flush=True))
    except SplitoptError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    found = checks(runs)
    tables = (figure_5, figure_6, figure_5_lenet, table_5)
    for table in (*(make(runs) for make in tables), checks_table(found)):
        table.save(wanted.folder)
        print(table.markdown(), flush=True)
    write_atomic(wanted.folder / "figure-5.svg", figure_5_svg(runs))
    return 0 if all(check.holds for check in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
