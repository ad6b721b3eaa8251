"""``python -m benchmarks.papers.dp_mora [FOLDER]``: rebuild the paper's section 7.2."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.papers.dp_mora.rebuild import RESULTS, rebuild


def main(arguments: list[str]) -> int:
    """Write all tables and figures into a folder, `RESULTS` by default."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print("usage: python -m benchmarks.papers.dp_mora [FOLDER]", file=sys.stderr)
        return 2
    folder = Path(arguments[0]) if arguments else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    for path in rebuild(folder):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
