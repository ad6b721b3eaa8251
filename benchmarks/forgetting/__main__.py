"""``python -m benchmarks.forgetting``: what split learning forgets, and what helps against it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.forgetting.reporting import (
    baselines,
    claims,
    figure_5,
    figure_12,
    figure_12_svg,
    random_draws,
)
from benchmarks.forgetting.runs import Runs
from benchmarks.forgetting.settings import SETTINGS, quick
from splitopt.errors import SplitoptError
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str]) -> int:
    """Train what is missing, then write tables, claims and the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forgetting", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS, help="where results go")
    parser.add_argument("--again", action="store_true", help="train all, also what is there")
    parser.add_argument(
        "--quick", action="store_true", help="two rounds of one seed, into a folder that is named"
    )
    wanted = parser.parse_args(arguments)
    if wanted.quick and wanted.folder == RESULTS:
        parser.error("--quick would replace the committed results; name another folder")
    wanted.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    runs = Runs(wanted.folder) if wanted.again else Runs.load(wanted.folder)
    try:
        for setting in map(quick, SETTINGS) if wanted.quick else SETTINGS:
            runs.fill(setting, lambda line: print(line, file=sys.stderr, flush=True))
    except SplitoptError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for make in (figure_5, figure_12, baselines, random_draws, claims):
        table = make(runs)
        table.save(wanted.folder)
        print(table.markdown(), flush=True)
    write_atomic(wanted.folder / "figure-12.svg", figure_12_svg(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
