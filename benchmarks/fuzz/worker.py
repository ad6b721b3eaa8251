"""The process that runs cases: one JSON document in each line, in and out.

``python -m benchmarks.fuzz.worker CORPUS FOLDER [SETUP.py]`` reads cases and answers with verdicts.
`SETUP.py` is run instead of loading everything; the tests of the fuzzer plant defects with it.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import runpy
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

_ROOM = 6 * 2**30
"""Bytes of addresses beyond those that are taken at the start: the last net below the watch."""


def main(arguments: list[str]) -> None:
    """Answer until the input ends."""
    corpus, folder = Path(arguments[0]), Path(arguments[1])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # what libraries print by themselves
    os.dup2(nothing, 2)
    if not arguments[2:]:
        _load()
    for setup in arguments[2:]:
        runpy.run_path(setup)
    _limit_addresses()
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line), corpus, folder)) + "\n")
        answers.flush()


def _load() -> None:
    """Import what every case would have to import."""
    import torch

    import splitopt.cli.app
    import splitopt.training.runner  # noqa: F401 - only to be loaded

    torch.set_num_threads(1)


def _limit_addresses() -> None:
    taken = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmSize:"):
            taken = 1024 * int(line.split()[1])
    resource.setrlimit(resource.RLIMIT_AS, (taken + _ROOM, taken + _ROOM))


def _answer(job: dict[str, Any], corpus: Path, folder: Path) -> dict[str, Any]:
    """Run one case; what fails outside of what it runs is a defect of the fuzzer."""
    from benchmarks.fuzz.judge import FAILS, Verdict

    try:
        return _judged(job, corpus, folder)
    except Exception:
        words = traceback.format_exc()[-1500:]
        return vars(Verdict(None, FAILS, words, ""))


def _judged(job: dict[str, Any], corpus: Path, folder: Path) -> dict[str, Any]:
    from benchmarks.fuzz.cases import Case, lay_out
    from benchmarks.fuzz.judge import judge

    case = Case.from_dict(job["case"])
    content = None if job.get("content") is None else base64.b64decode(job["content"])
    place = Path(tempfile.mkdtemp(prefix="case-", dir=folder))
    try:
        file = lay_out(case, corpus, place, content)
        written = file.read_bytes() if job.get("want_content") else None
        answer = vars(judge(case, file, place))
        if written is not None:
            answer["content"] = base64.b64encode(written).decode()
        return answer
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
