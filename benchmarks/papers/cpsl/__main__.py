"""``python -m benchmarks.papers.cpsl [FOLDER]``: rebuild the paper's section VIII."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.papers.cpsl import clustering, headline
from benchmarks.papers.tables import Table
from benchmarks.tables import output_folder

RESULTS = Path(__file__).parent / "results"
TABLES: tuple[Callable[[], Table], ...] = (
    headline.headline_table,
    headline.cluster_size_table,
    clustering.greedy_table,
    clustering.figure_7,
    clustering.figure_8,
    clustering.delta_table,
)


def main(arguments: list[str]) -> int:
    """Write all tables into a folder, `RESULTS` by default."""
    if (folder := output_folder(arguments, "benchmarks.papers.cpsl", RESULTS)) is None:
        return 2
    for make in TABLES:
        table = make()
        table.save(folder)
        print(table.markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
