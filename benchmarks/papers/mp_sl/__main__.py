"""``python -m benchmarks.papers.mp_sl [FOLDER]``: rebuild the paper's figures as tables."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.papers.mp_sl.costs import costs_table
from benchmarks.papers.mp_sl.exchange import exchange_table
from benchmarks.papers.mp_sl.machines import (
    comparison_table,
    memory_count_table,
    pareto_table,
)
from benchmarks.papers.mp_sl.memory import memory_table
from benchmarks.papers.mp_sl.mixed import machines_table, network_table
from benchmarks.papers.mp_sl.owners import aggregation_table, model_table, owners_table
from benchmarks.papers.mp_sl.shares import node_table, owner_table, solver_table
from benchmarks.papers.mp_sl.splits import hop_table, split_table
from benchmarks.tables import output_folder

RESULTS = Path(__file__).parent / "results"
TABLES = (
    owner_table,
    node_table,
    solver_table,
    machines_table,
    network_table,
    split_table,
    hop_table,
    memory_table,
    model_table,
    owners_table,
    aggregation_table,
    comparison_table,
    exchange_table,
    costs_table,
    pareto_table,
    memory_count_table,
)


def main(arguments: list[str]) -> int:
    """Write all tables into a folder, `RESULTS` by default."""
    if (folder := output_folder(arguments, "benchmarks.papers.mp_sl", RESULTS)) is None:
        return 2
    for make in TABLES:
        table = make()
        table.save(folder)
        print(folder / f"{table.name}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
