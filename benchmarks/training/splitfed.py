"""SplitFed's Table 5 in miniature: the best test accuracy of five ways to train.

The published numbers come from the authors' script, whose two versions of SplitFed stand beside.
"""

from __future__ import annotations

from typing import Any

from benchmarks.papers.tables import Table
from benchmarks.training.runs import Runs
from benchmarks.training.settings import TABLE_5_DIGITS, TABLE_5_FASHION, Setting

PUBLISHED = {
    "Fashion-MNIST, LeNet": (92.7, 91.9, 90.4, 89.6, 90.4),
    "CIFAR-10, LeNet": (72.1, 69.4, 62.7, 62.6, 63.8),
}
"""Rows of Table 5 with a network as small as ours, in per cent."""

SETTINGS = (TABLE_5_FASHION, TABLE_5_DIGITS)


def best(runs: Runs, setting: Setting, case: str) -> list[float]:
    """Best test accuracy of each seed's run, in per cent."""
    _, accuracy = runs.accuracy(setting.name, case)
    return [100 * float(value) for value in accuracy.max(axis=1)]


def table_5(runs: Runs) -> Table:
    """Set our rows under the published ones."""
    rows: list[list[Any]] = [
        [f"{name} (published)", *(f"{value:.1f}" for value in values), None, None]
        for name, values in PUBLISHED.items()
    ]
    for setting in SETTINGS:
        cells = []
        for case in setting.cases:
            values = best(runs, setting, case.name)
            mean = sum(values) / len(values)
            cells.append(f"{mean:.1f} ({min(values):.1f} to {max(values):.1f})")
        rows.append([f"{setting.data}, small network", *cells])
    head = ("data", *(case.label for case in TABLE_5_FASHION.cases))
    sizes = " and ".join(
        f"{s.devices} x {s.samples:,} samples in batches of {s.batch_size} for {s.rounds} epochs "
        f"({s.data})"
        for s in SETTINGS
    )
    note = (
        "Best test accuracy in per cent within the epochs, mean over "
        f"{len(TABLE_5_FASHION.seeds)} seeds (lowest to highest): {sizes}; Adam, rate 0.004, one "
        "local epoch in a round."
    )
    return Table("table-5", head, rows, note)
