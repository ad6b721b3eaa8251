"""``python -m benchmarks.simulation [FOLDER]``: errors of the models by load, and times."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.simulation import errors, speed
from benchmarks.tables import markdown, output_folder
from splitopt.bench.running.machine import describe_machine
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"
SYSTEMS, SEED = 250, 0


def errors_text(harsh: bool) -> str:
    """Write a table of errors."""
    kind = (
        "owners whose speeds differ up to 2.5 times, and links between nodes that bind at times"
        if harsh
        else "owners that are alike, and links between nodes that hardly count"
    )
    note = (
        f"{SYSTEMS} random systems (seed {SEED}) of 1 to 5 nodes and 2 to 60 owners with 32 "
        f"batches each; {kind} (`python -m benchmarks.simulation`):"
    )
    return markdown(errors.table(errors.measure(harsh, SYSTEMS, SEED)), note)


def main(arguments: list[str]) -> int:
    """Write all tables into a folder, `RESULTS` by default, and print them."""
    if (folder := output_folder(arguments, "benchmarks.simulation", RESULTS)) is None:
        return 2
    machine = describe_machine()
    timed = f"{machine['processor']}, one thread, Python {machine['python']}; medians, warm."
    texts = {
        "errors-alike": errors_text(harsh=False),
        "errors-harsh": errors_text(harsh=True),
        "speed": markdown(speed.table(), timed),
    }
    for name, text in texts.items():
        write_atomic(folder / f"{name}.md", text)
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
