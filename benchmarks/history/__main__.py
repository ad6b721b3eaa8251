"""``python -m benchmarks.history FILE.jsonl ... [--folder FOLDER]``: a row for each release.

Rows of an earlier call stay; those of the same revision, suite, problem and objective are replaced.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import cells, write_rows
from splitopt.bench.reporting.groups import Group, group_rows
from splitopt.bench.reporting.tables import SolverLine, solver_lines
from splitopt.bench.rows import Row
from splitopt.bench.rows.files import read_rows
from splitopt.errors import InputError
from splitopt.solvers.registry import solver_names

RESULTS = Path(__file__).parent / "results"
COLUMNS = {
    "date": ("date", "{}"),
    "version": ("version", "{}"),
    "revision": ("revision", "`{}`"),
    "suite": ("suite", "{}"),
    "limit_s": ("limit, s", "{:g}"),
    "problem": ("problem", "`{}`"),
    "objective": ("objective", "{}"),
    "solver": ("solver", "`{}`"),
    "runs": ("runs", "{}"),
    "proved": ("proved", "{:.0%}"),
    "solved": ("solved", "{:.0%}"),
    "mean_gap": ("mean gap", "{:.1e}"),
    "ratio": ("x back end", "{:.3g}"),
}
_NUMBERS = {"limit_s": float, "runs": int, "proved": float, "solved": float}
_MAYBE = ("mean_gap", "ratio")  # an empty cell where there is none
KEY = ("revision", "suite", "problem", "objective")
NOTE = (
    "The first solver of each problem that took part; the revision is that of the last run. "
    "Proved and solved: shares of its runs that ended with a proof, and with the best known value. "
    "Mean gap: geometric mean over the best known values, each taken as at least 1e-9. x back end: "
    "geometric mean of its times over those of the fastest of SCIP, HiGHS, Gurobi and CP-SAT where "
    "both solved. One thread a run (`python -m benchmarks.history FILE.jsonl`):"
)


def main(arguments: Sequence[str]) -> int:
    """Add the rows of result files to the table, write it as CSV and Markdown, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="of splitopt bench")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="of the table")
    given = parser.parse_args(arguments)
    try:
        new = [row for file in given.files for row in release_rows(read_rows(file), str(file))]
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / "history"
    rows = merged(kept(path.with_suffix(".csv")), new)
    write_rows(path, rows, COLUMNS, NOTE)
    for row in rows:
        print("  ".join(cells(row, COLUMNS)))
    return 0


def release_rows(rows: Sequence[Row], source: str) -> Iterator[dict[str, Any]]:
    """Yield a row of the table for each problem and objective of a result file.

    Raises
    ------
    InputError
        No rows, or rows of several versions, suites or limits: they are no one release.
    """
    for what, found in (
        ("version", {row.splitopt_version for row in rows}),
        ("suite", {row.suite for row in rows}),
        ("time limit", {row.time_limit_s for row in rows}),
    ):
        if len(found) != 1:
            raise InputError(
                f"{source}: must be of one {what}, and has {len(found)}; run the suite of a "
                "release into a file of its own"
            )
    for group in group_rows(rows):
        line = _first(group)
        if line is not None:
            yield _row(group, line, rows)


def _first(group: Group) -> SolverLine | None:
    """Return the line of the problem's preferred solver among those that ran."""
    lines = {line.solver: line for line in solver_lines(group) if line.runs}
    names = [name for name in solver_names(group.problem) if name in lines]
    return lines[names[0]] if names else None


def _row(group: Group, line: SolverLine, rows: Sequence[Row]) -> dict[str, Any]:
    last = max(rows, key=lambda row: row.timestamp)
    return {
        "date": last.timestamp[:10],
        "version": last.splitopt_version,
        "revision": "unknown" if last.git_revision is None else last.git_revision[:10],
        "suite": last.suite,
        "limit_s": last.time_limit_s,
        "problem": group.problem,
        "objective": group.objective,
        "solver": line.solver,
        "runs": line.runs,
        "proved": line.proved / line.runs,
        "solved": line.within / line.runs,
        "mean_gap": line.mean_gap,
        "ratio": line.ratio,
    }


def kept(path: Path) -> list[dict[str, Any]]:
    """Read the rows of earlier calls; none if there is no table yet."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            own: dict[str, Any] = dict(row)
            own |= {name: kind(row[name]) for name, kind in _NUMBERS.items()}
            own |= {name: float(row[name]) if row[name] else None for name in _MAYBE}
            found.append(own)
    return found


def merged(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return all rows by date, where new ones stand in the place of old ones about the same."""
    found = {tuple(row[name] for name in KEY): row for row in (*old, *new)}
    return sorted(found.values(), key=lambda row: (row["date"], *(row[name] for name in KEY)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
