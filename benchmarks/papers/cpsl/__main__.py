"""``python -m benchmarks.papers.cpsl [FOLDER]``: rebuild the paper's section VIII."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.papers.cpsl import clustering, convergence, cuts, headline
from benchmarks.papers.tables import Table
from benchmarks.tables import output_folder

RESULTS = Path(__file__).parent / "results"
TABLES: tuple[Callable[[], Table], ...] = (
    headline.headline_table,
    headline.cluster_size_table,
    clustering.greedy_table,
    cuts.figure_1,
    cuts.figure_7,
    clustering.figure_8,
    convergence.figure_8a,
    clustering.delta_table,
)
FIGURES: tuple[Callable[[Path], Path], ...] = (
    cuts.draw_figure_7,
    clustering.draw_figure_8,
    convergence.draw_figure_8a,
)


def main(arguments: list[str]) -> int:
    """Write all tables and figures into a folder, `RESULTS` by default."""
    if (folder := output_folder(arguments, "benchmarks.papers.cpsl", RESULTS)) is None:
        return 2
    for make in TABLES:
        table = make()
        table.save(folder)
        print(table.markdown())
    for draw in FIGURES:
        print(draw(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
