"""``python -m benchmarks.links [FOLDER]``: what ignored transfers cost, and times with links."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.links import ignoring, speed
from benchmarks.tables import markdown, output_folder
from splitopt.bench.running.machine import describe_machine
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str]) -> int:
    """Write both tables into a folder, `RESULTS` by default, and print them."""
    if (folder := output_folder(arguments, "benchmarks.links", RESULTS)) is None:
        return 2
    write_atomic(folder / "ignoring.md", text := markdown(ignoring.table(), ignoring.NOTE))
    print(text)
    machine = describe_machine()
    timed = f"{machine['processor']}, Python {machine['python']}. {speed.NOTE}"
    write_atomic(folder / "speed.md", text := markdown(speed.table(), timed))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
