"""``python -m benchmarks.links [FOLDER]``: what ignored transfers cost, and times with links."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.links import ignoring, speed
from splitopt.bench.machine import describe_machine
from splitopt.files import write_atomic

RESULTS = Path(__file__).parent / "results"


def markdown(rows: list[list[str]], note: str) -> str:
    """Write a table in Markdown under a note."""
    head, *body = rows
    lines = [head, ["---:"] * len(head), *body]
    return note + "\n\n" + "".join("| " + " | ".join(line) + " |\n" for line in lines)


def main(arguments: list[str]) -> int:
    """Write both tables into a folder, `RESULTS` by default, and print them."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print("usage: python -m benchmarks.links [FOLDER]", file=sys.stderr)
        return 2
    folder = Path(arguments[0]) if arguments else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "ignoring.md", text := markdown(ignoring.table(), ignoring.NOTE))
    print(text)
    machine = describe_machine()
    timed = f"{machine['processor']}, Python {machine['python']}. {speed.NOTE}"
    write_atomic(folder / "speed.md", text := markdown(speed.table(), timed))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
