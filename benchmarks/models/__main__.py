"""``python -m benchmarks.models``: which models are profiled, planned, trained and exported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.models.families import FAMILIES
from benchmarks.models.steps import STEPS, Outcome, run
from benchmarks.tables import markdown
from splitopt.extras import installed_version
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"
HEAD = ["model", "cuts found by", "cuts", "largest difference", *STEPS]
PACKAGES = ("torch", "transformers", "torchvision", "timm")


def text_of(outcomes: Sequence[Outcome], only: Sequence[str] | None = None) -> str:
    """Write the table, and under it why a step failed; `only` are the models that were named."""
    versions = ", ".join(f"{name} {installed_version(name)}" for name in PACKAGES)
    chosen = "" if not only else " --only " + " ".join(f'"{name}"' for name in only)
    note = (
        f"`python -m benchmarks.models{chosen}` prints, with {versions} ('unknown': not installed):"
    )
    table = markdown([HEAD, *(outcome.cells() for outcome in outcomes)], note)
    reasons = [
        f"* {outcome.family}, {step}: {why}\n"
        for outcome in outcomes
        for step, why in outcome.reasons.items()
    ]
    return table + ("\n" + "".join(reasons) if reasons else "")


def main(arguments: Sequence[str]) -> int:
    """Run all steps of all models, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of models, by default all")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--table", default="models.md", help="file of the table in that folder")
    options = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    found = []
    for family in FAMILIES:
        if options.only and family.name not in options.only:
            continue
        with TemporaryDirectory() as folder:
            found.append(run(family, Path(folder)))
        print("  ".join(found[-1].cells()), *found[-1].reasons.values(), sep="\n  ", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomic(options.output / options.table, text_of(found, options.only))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
