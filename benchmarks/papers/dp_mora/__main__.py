"""``python -m benchmarks.papers.dp_mora [FOLDER]``: rebuild the paper's section 7.2."""

from __future__ import annotations

import sys

from benchmarks.papers.dp_mora.rebuild import RESULTS, rebuild
from benchmarks.tables import output_folder


def main(arguments: list[str]) -> int:
    """Write all tables and figures into a folder, `RESULTS` by default."""
    if (folder := output_folder(arguments, "benchmarks.papers.dp_mora", RESULTS)) is None:
        return 2
    for path in rebuild(folder):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
