"""``python -m benchmarks.tutorial``: run the commands of a page of docs, and time each.

Files that the page shows are written, commands and Python snippets run in their order, in an empty
folder. With ``--fresh`` a clone of the repository is set up before that as the page says, in a
virtual environment of its own, and its splitopt runs the rest with no loop compiled before.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.tables import write_rows
from splitopt.bench.running.machine import describe_machine

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COLUMNS = {
    "command": ("command", "{}"),
    "seconds": ("seconds", "{:.1f}"),
    "cpu_s": ("of the processor, s", "{:.1f}"),
}


class Step(NamedTuple):
    """A command, what it is called in the table, and where it runs."""

    words: list[str]
    title: str
    folder: Path


def steps_of(text: str, folder: Path, bin_folder: Path) -> Iterator[Step]:
    """Go through what a page says to do; files are written as they come.

    Parameters
    ----------
    text
        The page, in Markdown.
    folder
        Where it is done.
    bin_folder
        With the ``python`` and the ``splitopt`` that do it.
    """
    for kind, block in FENCE.findall(text):
        named = re.match(r"# file: (\S+)\n", block)
        if kind == "yaml" and named:
            (folder / named[1]).write_text(block, encoding="utf-8")
        elif kind == "console":
            for line in re.findall(r"^\$ (.*)$", block, flags=re.MULTILINE):
                words = shlex.split(line, comments=True)
                yield Step([str(bin_folder / words[0]), *words[1:]], f"`{line}`", folder)
        elif kind == "python":
            first = block.strip().splitlines()[-1]
            yield Step([str(bin_folder / "python"), "-c", block], f"Python, `{first}`", folder)


def setup_steps(clone: Path) -> Iterator[Step]:
    """Go through what sets a clone up, with PyTorch."""
    url = str(ROOT)
    yield Step(["git", "clone", "--quiet", url, str(clone)], "`git clone`", clone.parent)
    yield Step([sys.executable, "-m", "venv", str(clone / ".venv")], "`python -m venv`", clone)
    pip = [str(clone / ".venv/bin/python"), "-m", "pip", "install", "--quiet", "--no-compile"]
    yield Step([*pip, "."], "`pip install .`", clone)
    yield Step([*pip, "torch==2.13.0"], "`pip install torch==2.13.0`", clone)
    yield Step([*pip, ".[train]"], "`pip install '.[train]'`", clone)


def timed(step: Step, environment: dict[str, str]) -> dict[str, object]:
    """Run a step; return its row.

    Raises
    ------
    SystemExit
        It failed; what it printed is said.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        step.words, cwd=step.folder, env=environment, capture_output=True, text=True, check=False
    )
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{step.title} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{seconds:8.1f} s {cpu:8.1f} s  {step.title}", flush=True)
    return {"command": step.title, "seconds": seconds, "cpu_s": cpu}


def main(arguments: Sequence[str]) -> int:
    """Run the page, print a row for each command, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tutorial", description=__doc__)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "quick-start.md")
    parser.add_argument(
        "--fresh", action="store_true", help="from a clone and an empty environment"
    )
    parser.add_argument("-o", "--output", type=Path, help="folder of the table; none by default")
    options = parser.parse_args(arguments)
    load, rows = os.getloadavg()[0], []
    with tempfile.TemporaryDirectory() as name:
        folder, clone = Path(name) / "work", Path(name) / "splitopt"
        folder.mkdir()
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(Path(name) / "compiled")}
        bin_folder = Path(sys.executable).parent
        if options.fresh:
            environment.pop("PYTHONPATH", None)
            rows += [timed(step, environment) for step in setup_steps(clone)]
            bin_folder = clone / ".venv" / "bin"
        text = options.page.read_text(encoding="utf-8")
        rows += [timed(step, environment) for step in steps_of(text, folder, bin_folder)]
    total = {
        "command": "all",
        **{k: sum(float(str(row[k])) for row in rows) for k in ("seconds", "cpu_s")},
    }
    print(f"{total['seconds']:8.1f} s {total['cpu_s']:8.1f} s  all", flush=True)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        how = " --fresh" if options.fresh else ""
        note = (
            f"{describe_machine()['processor']}, {os.cpu_count()} processors, load {load:.1f} when "
            f"it began. Made by `python -m benchmarks.tutorial{how}`."
        )
        write_rows(options.output / "seconds", [*rows, total], COLUMNS, note)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
