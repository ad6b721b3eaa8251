"""The trainings of some parts, and their tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.papers.iotsl.replay.cells import Cell, outcomes
from benchmarks.papers.iotsl.replay.tables import PARTS, Size
from benchmarks.papers.tables import Table


def replayed(parts: Sequence[str], size: Size, kept: Path, workers: int) -> list[Table]:
    """Train what some parts need and return their tables.

    Parameters
    ----------
    parts
        Names in `PARTS`.
    size
        How much is trained.
    kept
        The file of outcomes: what is there is not trained again.
    workers
        Processes, of one thread each.
    """
    wanted = {part: PARTS[part][0](size) for part in parts}
    cells = list(dict.fromkeys(cell for own in wanted.values() for cell in own))
    cells.sort(key=lambda cell: cell.seed % 10)  # the first draw of everything comes first
    found: dict[Cell, object] = {}
    for done, (cell, one) in enumerate(outcomes(cells, kept, workers), start=1):
        found[cell] = one
        words = f"{cell.data}, {cell.partition}, seed {cell.seed}"
        print(f"{done} of {len(cells)}: {words}", file=sys.stderr, flush=True)
    return [
        PARTS[part][1](size, {cell: found[cell] for cell in own}) for part, own in wanted.items()
    ]
