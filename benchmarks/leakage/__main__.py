"""``python -m benchmarks.leakage``: what each cut of the shipped networks leaks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tables import markdown
from splitopt.privacy.leakage.settings import LeakageSettings
from splitopt.profiles.published.traced import TRACED, traced_profile
from splitopt.storage.writing import write_atomic

if TYPE_CHECKING:
    from splitopt.privacy.leakage.table import LeakageTable

RESULTS = Path(__file__).parent / "results"
SHIPPED = Path(__file__).parents[2] / "splitopt" / "profiles" / "data" / "traced"
MEASURED = ("cnn-digits", "cnn-fashion-mnist")
"""The shipped profiles that have a measured leakage."""
HEAD = [
    "network and data",
    "cut",
    "behind",
    "cosine, white box",
    "cosine, black box",
    "centred, white box",
    "centred, black box",
    "distance correlation",
    "label AUC",
]


def attacked(name: str, settings: LeakageSettings, cache: Path | None) -> LeakageTable:
    """Attack the network of a shipped profile at all of its cuts."""
    from splitopt.privacy.leakage.measured import measured

    network, data = TRACED[name][0], name.removeprefix(f"{TRACED[name][0]}-")

    def tell(done: int, whole: int, what: str) -> None:
        print(f"{name}: {done} of {whole}, {what}", file=sys.stderr)

    return measured(
        network, data, None, settings, cache=cache, progress=tell, into=traced_profile(name)
    ).table


def rows_of(name: str, table: LeakageTable) -> list[list[str]]:
    """Write a row for each cut, and one of the mean image."""
    inferred = {(row.cut, row.measure): row.value for row in table.rows}
    rows = []
    for cut in table.cuts:
        row = [name, str(cut), table.layers[cut - 1]]
        for measure in ("cosine", "centred_cosine"):
            for view in ("white", "black"):
                found = table.worst(cut, view, measure)
                row.append("–" if found is None else f"{found.value.mean:.3f}")
        for measure in ("distance_correlation", "auc_by_cosine"):
            value = inferred.get((cut, measure))
            row.append("–" if value is None else f"{value.mean:.3f}")
        rows.append(row)
    mean = table.baselines["mean_image"]
    seen = [f"{mean[measure].mean:.3f}" for measure in ("cosine", "centred_cosine")]
    return [*rows, [name, "–", "the mean image", seen[0], seen[0], seen[1], seen[1], "–", "–"]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack, and write and print the tables."""
    parser = argparse.ArgumentParser("python -m benchmarks.leakage", description=__doc__)
    parser.add_argument("--networks", default=",".join(MEASURED))
    for flag, default in (("--epochs", 5), ("--samples", 8), ("--steps", 150)):
        parser.add_argument(flag, type=int, default=default)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    settings = LeakageSettings(samples=given.samples, steps=given.steps, epochs=given.epochs)
    given.output.mkdir(parents=True, exist_ok=True)
    rows = [HEAD]
    for name in given.networks.split(","):
        table = attacked(name, settings, given.cache)
        table.save(given.output / f"{name}.json")
        rows += rows_of(name, table)
        if given.ship:
            table.onto(traced_profile(name)).save(SHIPPED / f"{name}.json")
    note = (
        f"Means over {settings.samples} samples of the better of gradient matching and feature "
        f"inversion, {settings.steps} steps each, after {settings.epochs} epochs of training; "
        "seed 0, one thread. The mean image saw nothing of the samples."
    )
    write_atomic(given.output / "leakage.md", markdown(rows, note))
    print(*("  ".join(row) for row in rows), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
