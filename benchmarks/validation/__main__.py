"""``python -m benchmarks.validation``: shipped plans over real connections, against what they say.

It ends with exit code 1 if the bytes or the order of a plan are not as predicted, or its median
step or its round is off by more than 15 %; or if a plan whose shares do not fit is not refuted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.validation import oversubscribed, runs
from splitopt.bench.running.machine import describe_machine
from splitopt.plans import Plan
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"
SCALES = (0.2, 0.1, 0.05, 0.025)


def main(arguments: Sequence[str]) -> int:
    """Run, print every row, write rows and tables, and say what is not as predicted."""
    options = _options(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    host = (
        f"{machine['processor']}, {machine['cores']} cores, a process for each party with PyTorch "
        f"on one thread, Python {machine['python']}; load is the load average before the run"
    )
    rows: list[runs.Row] = []
    if "runs" in options.tables:
        rows = _repeated(options, options.scenarios, runs.plan_of)
        note = f"{options.repeats} runs of {options.rounds} round(s) of each plan; {host}:"
        _write(options.output / "runs", rows, runs.table(rows), note)
    if "scales" in options.tables:
        scaled = []
        for scenario in options.scenarios:
            plan = runs.plan_of(scenario)
            least, _ = runs.scales_of(plan)
            for scale in SCALES:
                row = runs.run(scenario, plan, scale, options.rounds, any_speed=True)
                scaled.append({**row, "least_time_scale": least})
                print(json.dumps(scaled[-1]), flush=True)
        note = f"One run of each plan at each time scale, with `--any-speed`; {host}:"
        _write(options.output / "scales", scaled, runs.scale_table(scaled), note)
    schemes: list[runs.Row] = []
    if "schemes" in options.tables:
        schemes = _repeated(options, runs.SCHEMES, runs.scheme_plan)
        note = (
            f"{options.repeats} runs of {options.rounds} round(s) of the plan of "
            f"`{runs.SCHEME_SCENARIO}` for each scheme; {host}:"
        )
        table = runs.table(schemes, runs.SCHEMES)
        _write(options.output / "schemes", schemes, table, note)
    shared = []
    if "shares" in options.tables:
        for row in oversubscribed.rows_of(oversubscribed.FACTORS, options.rounds):
            shared.append(row)
            print(json.dumps(row), flush=True)
        note = (
            f"One run of the plan of `{oversubscribed.SCENARIO}`, as it is and with several times "
            f"its shares, 1 at most each; {host}:"
        )
        _write(options.output / "shares", shared, oversubscribed.table(shared), note)
    failures = runs.failures([*rows, *schemes]) + oversubscribed.failures(shared)
    for failure in failures:
        print(f"not as predicted: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _repeated(
    options: argparse.Namespace, names: Iterable[str], plan_of: Callable[[str], Plan]
) -> list[runs.Row]:
    """Run each plan some times, at one time scale, and print every row."""
    found = []
    for name in names:
        plan = plan_of(name)
        scale = options.time_scale or runs.scales_of(plan)[1]
        for _ in range(options.repeats):
            found.append(runs.run(name, plan, scale, options.rounds))
            print(json.dumps(found[-1]), flush=True)
    return found


def markdown(rows: list[list[str]], note: str) -> str:
    """Write a table in Markdown under a note."""
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return note + "\n\n" + "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _write(path: Path, rows: Sequence[runs.Row], table: list[list[str]], note: str) -> None:
    text = markdown(table, note)
    write_atomic(path.with_suffix(".jsonl"), "".join(json.dumps(row) + "\n" for row in rows))
    write_atomic(path.with_suffix(".md"), text)
    print(text)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.validation", description=__doc__)
    parser.add_argument("output", nargs="?", type=Path, default=RESULTS, help="folder")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--time-scale", type=float, help="by default, a round takes 5 s")
    parser.add_argument(
        "--scenarios", nargs="+", choices=list(runs.SYSTEMS), default=list(runs.SYSTEMS)
    )
    tables = ("runs", "schemes", "shares", "scales")
    parser.add_argument(
        "--tables", nargs="+", choices=tables, default=["runs", "schemes", "shares"]
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
