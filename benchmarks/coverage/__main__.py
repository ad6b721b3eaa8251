"""Count how often the statements of `saa` hold on rounds of which the truth is known.

``python -m benchmarks.coverage [--runs N] [--families NAME ...] [--workers N] [-o FILE]`` prints a
page of tables in Markdown; see `README.md` beside it. It ends with code 1 where a statement made
at 95 % confidence held in less than 93 % of the runs, or more than 1 % of the choices that were
called settled were wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.coverage.families import families
from benchmarks.coverage.suite import (
    TRACE,
    Covered,
    Question,
    Run,
    replay_coverage,
    row,
    runs_of,
    value_coverage,
)
from splitopt.storage.writing import write_atomic

LEVELS = (None, 0.9, 0.95)
COVERED, FALSE = 0.93, 0.01

_HEADER = (
    "| family | objective | settled | false | gap | value | differences | cheap rounds | "
    "answered rounds | exact answers | value +- % |"
)
_RULE = "|---|---|---|---|---|---|---|---|---|---|---|"


def broken(question: Question, found: Sequence[Run]) -> list[str]:
    """Name what was promised and not kept."""
    count = len(found)
    wrong = [
        f"{question.family}, {question.name}: {name} held in {share:.3f} of the runs"
        for name in ("gap_covered", "value_covered", "differences_covered")
        if (share := sum(getattr(run, name) for run in found) / count) < COVERED
    ]
    if (false := sum(run.false for run in found) / count) > FALSE:
        wrong.append(f"{question.family}, {question.name}: settled wrongly in {false:.3f}")
    return wrong


def broken_intervals(found: Sequence[Covered]) -> list[str]:
    """Name the intervals that held too seldom."""
    return [f"{one.what}: held in {one.share:.3f}" for one in found if one.share < COVERED]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options, print the page and return the exit code."""
    known = [*families(), TRACE]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--families", nargs="+", choices=known, default=known)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args(arguments)
    lines, wrong = [_HEADER, _RULE], []
    for name in options.families:
        for level in LEVELS:
            question = Question(name, level)
            found = runs_of(question, options.runs, options.workers)
            lines.append(row(question, found))
            print(lines[-1], file=sys.stderr, flush=True)
            wrong += broken(question, found)
    intervals: list[Covered] = []
    for name in options.families:
        if name != TRACE:
            intervals += value_coverage(name, options.runs)
            intervals += value_coverage(name, options.runs, 0.9)
            intervals += replay_coverage(name, options.runs)
    wrong += broken_intervals(intervals)
    text = page(options.runs, lines, intervals)
    if options.output is not None:
        write_atomic(options.output, text)
    print(text)
    for line in wrong:
        print(f"not kept: {line}", file=sys.stderr)
    return 1 if wrong else 0


def page(runs: int, lines: Sequence[str], intervals: Sequence[Covered]) -> str:
    """Return the tables."""
    return "\n".join(
        [
            "# How often the statements hold",
            "",
            f"Printed by `python -m benchmarks.coverage --runs {runs}`: {runs} runs in a row, at "
            "95 % confidence and a tolerance of 1 %.",
            "",
            "Shares of the runs: settled; settled wrongly (more than 1 % above the best); the gap "
            "bound, the interval of the chosen cut's value, and all bounds of differences held. "
            "Then averages.",
            "",
            *lines,
            "",
            "## Intervals of other numbers",
            "",
            "| what | rounds | held | half width, s |",
            "|---|---|---|---|",
            *(
                f"| {one.what} | {one.rounds} | {one.share:.3f} | {one.half_width:.3f} |"
                for one in intervals
            ),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
