"""Bad cases by kind: the smallest document of each, the command that reads it, the table."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fuzz.cases import Case, lay_out
from benchmarks.fuzz.judge import Verdict, command_of
from benchmarks.fuzz.minimise import Budget, fewer_mutations, nearer, sentence, smaller
from benchmarks.fuzz.pool import Worker
from benchmarks.fuzz.targets import CALL


@dataclass
class Kind:
    """Cases that are bad in the same way.

    Parameters
    ----------
    case, verdict, content
        The first one, and its spoiled document where it could be had.
    count
        How many there are.
    words
        In what the document differs from a valid one.
    """

    case: Case
    verdict: Verdict
    content: bytes | None
    count: int = 1
    words: str = ""

    @property
    def name(self) -> str:
        """The reader and what is wrong."""
        return f"{self.case.target}: {self.verdict.bad}"


@dataclass
class Findings:
    """What a run has found."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    codes: Counter[int | None] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0

    def add(self, case: Case, verdict: Verdict, content: bytes | None) -> None:
        """Count a case, and keep it if it is the first of its kind, or a simpler one."""
        self.cases[case.target] += 1
        self.cpu_s += verdict.cpu_s
        if verdict.bad is None:
            self.codes[verdict.code] += 1
            return
        new = Kind(case, verdict, content)
        known = self.kinds.setdefault(new.name, new)
        if known is not new:
            new.count = known.count + 1
            simpler = len(case.mutations) < len(known.case.mutations)
            if simpler:
                self.kinds[new.name] = new
            else:
                known.count += 1

    def table(self) -> str:
        """Return the cases of each reader, and how they ended."""
        bad = Counter[str]()
        for kind in self.kinds.values():
            bad[kind.case.target] += kind.count
        lines = [f"{'reader':<40} cases   bad"]
        lines += [
            f"{name:<40} {count:>5} {bad[name] or '':>5}"
            for name, count in sorted(self.cases.items())
        ]
        ends = ", ".join(f"{count} x {code}" for code, count in self.codes.most_common())
        lines.append(f"{'all':<40} {self.cases.total():>5} {bad.total() or '':>5}")
        return "\n".join([*lines, f"exit codes: {ends or 'none'}"])


def minimised(kind: Kind, worker: Worker, corpus: Path) -> Kind:
    """Return a kind with the smallest document that was found to be bad in the same way."""
    budget = Budget()

    def is_bad(case: Case, content: bytes | None = None) -> bool:
        return worker.run(case, content)[0].bad == kind.verdict.bad

    slow = kind.verdict.bad in ("time", "waits for ever", "memory")
    if slow:
        budget.left = 5
    case = fewer_mutations(kind.case, is_bad, budget)
    verdict, content = worker.run(case, want_content=True)
    if content is None:
        content = document_of(case, corpus, worker.folder)
    if verdict.bad != kind.verdict.bad:  # it does not come each time
        return kind
    valid = valid_document(case, corpus)
    content = nearer(content, valid, lambda trial: is_bad(case, trial), budget)
    words = sentence(content, valid)
    content = smaller(content, lambda trial: is_bad(case, trial), budget)
    return Kind(case, verdict, content, kind.count, words)


def valid_document(case: Case, corpus: Path) -> bytes:
    """Return what a case spoils, as it was."""
    names = sorted(path for path in corpus.glob(case.file))
    return names[case.number % len(names)].read_bytes()


def document_of(case: Case, corpus: Path, folder: Path) -> bytes:
    """Return the spoiled document of a case that nobody could return any more."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=folder) as place:
        return lay_out(case, corpus, Path(place)).read_bytes()


def store(kind: Kind, seed: int, corpus: Path, output: Path) -> str:
    """Write a kind into a folder of its own and return what is to be said about it."""
    words = re.sub(r"[^a-z0-9]+", "-", kind.name.lower()).strip("-")[:90]
    place = output / words
    number = 2
    while place.exists():
        place = output / f"{words}-{number}"
        number += 1
    files = place / "files"
    files.mkdir(parents=True)
    file = lay_out(kind.case, corpus, files, kind.content)
    (files / "corpus").unlink()
    text = kind.words or sentence(file.read_bytes(), valid_document(kind.case, corpus))
    command = _command(kind.case, file, files)
    again = f"python -m benchmarks.fuzz --seed {seed} --case {kind.case.number}"
    report = {
        "reader": kind.case.target,
        "bad": kind.verdict.bad,
        "cases": kind.count,
        "detail": kind.verdict.detail,
        "file": str(file.relative_to(files)),
        "difference": text,
        "command": command,
        "again": again,
    }
    (place / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return (
        f"{kind.count} x {kind.name}\n  {kind.verdict.detail[:200]}\n"
        f"  {report['file']}: {text}\n  {command[:300]}\n  {again}"
    )


def _command(case: Case, file: Path, folder: Path) -> str:
    """Return the command that shows the defect, in the folder of the stored files."""
    arguments = command_of(case, file, folder)
    if arguments[:1] == (CALL,):
        return f"python -m benchmarks.fuzz.calls {arguments[1]} {file.relative_to(folder)}"
    return shlex.join(("splitopt", *arguments))
