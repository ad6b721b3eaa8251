"""``python -m benchmarks.warm_starts [FOLDER]``: what each registered solver starts from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.tables import output_folder
from splitopt.solvers.registry import SOLVERS, solver_class
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"
REFUSED = "–"


def table() -> str:
    """Return the table as Markdown: solvers of a problem that do the same stand on one line."""
    lines = ["| problem | solvers | `start` is | `prices` are |", "|---|---|---|---|"]
    for problem in SOLVERS:
        for (start, prices), names in _groups(problem):
            listed = ", ".join(f"`{name}`" for name in names)
            lines.append(f"| `{problem}` | {listed} | {start} | {prices} |")
    return "\n".join(lines) + "\n"


def _groups(problem: str) -> Iterator[tuple[tuple[str, str], list[str]]]:
    groups: dict[tuple[str, str], list[str]] = {}
    for name in SOLVERS[problem]:
        found = solver_class(problem, name)
        start = found.start_use if found.can_start() else REFUSED
        prices = found.prices_use if found.takes_prices else REFUSED
        groups.setdefault((start, prices), []).append(name)
    yield from groups.items()


def main(arguments: list[str]) -> int:
    """Print and write the table."""
    folder = output_folder(arguments, "benchmarks.warm_starts", RESULTS)
    if folder is None:
        return 2
    text = table()
    print(text, end="")
    write_atomic(folder / "warm-starts.md", text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
