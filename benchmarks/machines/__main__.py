"""``python -m benchmarks.machines``: how well a machine of a few numbers predicts a new network."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machines import here
from benchmarks.machines.cases import METHODS, Case, left_out, load, scored
from benchmarks.tables import Columns, write_rows
from splitopt.bench.running.machine import describe_machine
from splitopt.errors import InputError

RESULTS = Path(__file__).parent / "results"
COLUMNS = {
    "method": ("prediction", "{}"),
    "network": ("network", "{}"),
    "splits": ("splits", "{}"),
    "median": ("median error in %", "{:.1f}"),
    "p90": ("90 % below, %", "{:.1f}"),
    "latency": ("regret, latency", "{:.3f}"),
    "period": ("regret, period", "{:.3f}"),
}
HERE_COLUMNS = {
    "network": ("left out", "{}"),
    "batch": ("batch", "{}"),
    "measured_ms": ("measured ms", "{:.1f}"),
    "one_speed": ("one speed, ratio", "{:.2f}"),
    "model": ("machine model, ratio", "{:.2f}"),
    "low": ("interval from", "{:.2f}"),
    "high": ("to", "{:.2f}"),
}


SPLITS_NOTE = (
    "End-to-end seconds (both parts and the transfer) of the splits of six networks between two "
    "Raspberry Pis, batches of 8, forward. `one speed` and `machine model` are fitted to the other "
    "five networks; `every second split` is measured at every second split of the network itself, "
    "and scored at the others. Regret is what the split chosen by the prediction takes over the "
    "best measured one: in a row (latency), and the longest of the three (period). The row `all` "
    "pools the errors and has the mean of the regrets."
)
HERE_NOTE = (
    "Processor seconds of a training pass with one thread, each network predicted from the others: "
    "predicted over measured seconds, and the interval that the model states for that ratio. The "
    "quickest of four tries in turn, each the medians of"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and write the table of the measured splits, or that of this machine."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.machines", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with the measured splits of SplitRL, which are not shipped",
    )
    parser.add_argument("--here", action="store_true", help="measure networks on this machine")
    parser.add_argument("--networks", default=",".join(here.NETWORKS), help="with --here")
    parser.add_argument("--repeats", type=int, default=5, help="timed passes, with --here")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    if asked.data is None and not asked.here:
        parser.error("give --data FOLDER, --here, or both")
    asked.output.mkdir(parents=True, exist_ok=True)
    try:
        if asked.data is not None:
            rows = split_rows(load(asked.data))
            _show(asked.output / "splits", rows, COLUMNS, SPLITS_NOTE)
        if asked.here:
            rows = here.rows(asked.networks.split(","), asked.repeats)
            note = f"{HERE_NOTE} {asked.repeats} passes; {describe_machine()['processor']}."
            _show(asked.output / "here", rows, HERE_COLUMNS, note)
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _show(path: Path, rows: Sequence[Any], columns: Columns, note: str) -> None:
    write_rows(path, rows, columns, note)
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


def split_rows(cases: list[Case]) -> list[dict[str, Any]]:
    """Score every method on every network, and on all of them together."""
    found = []
    for method in METHODS:
        predicted = left_out(cases, method)
        scores = []
        for case in cases:
            unseen = np.ones(len(case.sent), dtype=np.bool_)
            unseen[::2] = method != METHODS[2]
            scores.append(scored(case, predicted[case.name], unseen))
            found.append(_row(method, case.name, scores[-1:]))
        found.append(_row(method, "all", scores))
    return found


def _row(method: str, network: str, scores: Sequence[Any]) -> dict[str, Any]:
    """Put together scores: errors pooled, regrets as their mean."""
    errors = 100 * np.concatenate([score["errors"] for score in scores])
    return {
        "method": method,
        "network": network,
        "splits": len(errors),
        "median": float(np.median(errors)),
        "p90": float(np.quantile(errors, 0.9)),
        "latency": float(np.mean([score["latency"] for score in scores])),
        "period": float(np.mean([score["period"] for score in scores])),
    }


if __name__ == "__main__":
    sys.exit(main())
