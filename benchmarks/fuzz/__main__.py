"""Spoil every kind of document that splitopt reads, and look for what it does not refuse well.

``python -m benchmarks.fuzz [--cases N] [--seed S] [--case K] [--readers TEXT ...] [-o DIR]`` prints
a table and the kinds of bad cases, each with its smallest document; see `README.md` beside it.
It ends with code 1 if a case was bad.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.fuzz import corpus as documents
from benchmarks.fuzz.cases import Case, draw
from benchmarks.fuzz.findings import Findings, Kind, minimised, store
from benchmarks.fuzz.judge import CPU_S, MEMORY_MIB, Verdict
from benchmarks.fuzz.pool import Worker, run_all
from benchmarks.fuzz.targets import TARGETS, Target


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases, print what came and return the exit code."""
    options = _options(arguments)
    targets = _chosen(options.readers)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="splitopt-fuzz-")))
        corpus = options.corpus or place / "corpus"
        if not corpus.exists():
            corpus.mkdir(parents=True)
            documents.build(corpus)
        workers = []
        for number in range(options.workers):
            folder = place / f"worker-{number}"
            folder.mkdir()
            worker = Worker(corpus, folder, options.setup, options.cpu_s, options.memory_mib)
            stack.callback(worker.stop)
            workers.append(worker)
        started = time.monotonic()
        found = _run(options, targets, workers)
        passed = time.monotonic() - started
        print(found.table())
        total = found.cases.total()
        print(f"{total} cases in {passed:.0f} s ({found.cpu_s:.0f} s of CPU in what they run)")
        for kind in sorted(found.kinds.values(), key=lambda item: item.name):
            small = minimised(kind, workers[0], corpus) if options.minimise else kind
            print(f"\n{_kept(small, options, corpus)}", flush=True)
    print(f"{len(found.kinds)} kinds of bad cases")
    return 1 if found.kinds else 0


def _run(
    options: argparse.Namespace, targets: tuple[Target, ...], workers: list[Worker]
) -> Findings:
    """Run all cases, and say each new kind at once."""
    found = Findings()

    def tell(case: Case, verdict: Verdict, content: bytes | None) -> None:
        before = len(found.kinds)
        found.add(case, verdict, content)
        if len(found.kinds) > before:
            words = f"case {case.number}: {case.target}: {verdict.bad}: {verdict.detail[:120]!r}"
            print(words, file=sys.stderr, flush=True)

    run_all(workers, _cases(options, targets), tell)
    return found


def _cases(options: argparse.Namespace, targets: tuple[Target, ...]) -> Iterator[Case]:
    """Iterate over the cases; a number means the same case whichever readers are chosen."""
    if options.case is not None:
        yield draw(options.seed, options.case)
        return
    names = {target.name for target in targets}
    every = (draw(options.seed, number) for number in itertools.count())
    yield from itertools.islice((case for case in every if case.target in names), options.cases)


def _kept(kind: Kind, options: argparse.Namespace, corpus: Path) -> str:
    """Write a kind down, into the folder that was named or one that is thrown away."""
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        return store(kind, options.seed, corpus, options.output)
    place = Path(tempfile.mkdtemp(prefix="splitopt-fuzz-"))
    try:
        return store(kind, options.seed, corpus, place)
    finally:
        shutil.rmtree(place)


def _chosen(readers: Sequence[str] | None) -> tuple[Target, ...]:
    if not readers:
        return TARGETS
    found = tuple(item for item in TARGETS if any(text in item.name for text in readers))
    if not found:
        names = ", ".join(target.name for target in TARGETS)
        raise SystemExit(f"--readers: there is none of that name; known are {names}")
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="this one only")
    parser.add_argument("--readers", nargs="+", help="those whose names hold one of the texts")
    parser.add_argument("--workers", type=int, default=1, help="processes that run cases")
    parser.add_argument("--cpu-s", type=float, default=CPU_S, help="seconds of CPU for a case")
    parser.add_argument("--memory-mib", type=float, default=MEMORY_MIB, help="for a case")
    parser.add_argument("--corpus", type=Path, help="keep the valid documents there, or take them")
    parser.add_argument("--no-minimise", dest="minimise", action="store_false")
    parser.add_argument("--setup", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, help="folder for the bad cases")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
