"""The row of the benchmark: one run of one solver on one instance, complete or refused."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import read_text
from splitopt.storage.outputs import cannot_write
from splitopt.storage.writing import write_atomic

Status = Literal["ok", "skipped", "crashed", "timeout", "memory", "lied"]
"""How the run went: ``timeout`` and ``memory`` were stopped by the runner, ``lied`` reported an
objective, a feasibility or a bound that the runner's own check contradicts."""

MEASURED = (
    "build_s",
    "solve_s",
    "total_s",
    "wall_s",
    "warmup_s",
    "peak_memory_mib",
    "trace",
    "machine",
    "git_revision",
    "timestamp",
)
"""Columns that differ between two runs of the same work."""


@dataclass(frozen=True)
class Row:
    """One run. Times are in s, memory in MiB; a number that does not exist is None.

    ``key`` fields (problem, objective, instance, solver, options, seed, time limit) say which run
    it is; the same key in the same file is the same run.
    """

    suite: str
    problem: str
    objective: str
    instance: str
    instance_digest: str
    size: Mapping[str, int]
    solver: str
    solver_version: str
    options: Mapping[str, Any]
    seed: int
    threads: int
    time_limit_s: float
    memory_limit_mib: float
    status: Status
    outcome: str | None
    stop_reason: str | None
    message: str | None
    value: float | None
    bound: float | None
    gap: float | None
    best_known: float | None
    gap_to_best_known: float | None
    iterations: int | None
    build_s: float | None
    solve_s: float | None
    total_s: float | None
    wall_s: float
    warmup_s: float | None
    peak_memory_mib: float | None
    trace: list[list[float | None]]
    machine: Mapping[str, Any]
    git_revision: str | None
    splitopt_version: str
    timestamp: str

    @property
    def key(self) -> str:
        """Text that identifies the run within a result file."""
        return run_key(
            self.problem,
            self.objective,
            self.instance,
            self.solver,
            self.options,
            self.seed,
            self.time_limit_s,
        )

    @property
    def solved(self) -> bool:
        """Whether the run ended with a checked feasible decision."""
        return self.status == "ok" and self.value is not None

    @classmethod
    def from_dict(cls, document: Any, source: str = "row") -> Row:
        """Read a row.

        Raises
        ------
        InputError
            A field is missing, unknown, or of another type; all of them are named.
        """
        from splitopt.bench.documents import row_document
        from splitopt.documents.schemas import validated

        validated(row_document(), document, source)
        return cls(**document)

    def to_dict(self) -> dict[str, Any]:
        """Give the row as JSON-ready data."""
        return asdict(self)


def run_key(
    problem: str,
    objective: str,
    instance: str,
    solver: str,
    options: Mapping[str, Any],
    seed: int,
    time_limit_s: float,
) -> str:
    """Give the text that identifies a run within a result file."""
    chosen = json.dumps(dict(options), sort_keys=True)
    parts = (problem, objective, instance, solver, chosen, str(seed), f"{time_limit_s:g}")
    return "|".join(parts)


def append_row(path: str | Path, row: Row) -> None:
    """Append a row in one write that is forced to disk, or leave the file as it was.

    Raises
    ------
    InputError
        The file may not be written.
    WriteError
        The disk is full or broken.
    """
    line = (json.dumps(row.to_dict(), allow_nan=False) + "\n").encode()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _append(handle, line)
        finally:
            os.close(handle)
    except OSError as error:
        raise cannot_write(path, error) from None


def _append(handle: int, line: bytes) -> None:
    size = os.fstat(handle).st_size
    try:
        if os.write(handle, line) != len(line):
            raise OSError(errno.ENOSPC, "not in full, is the disk full?")
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def cut_torn_line(path: str | Path) -> None:
    """Remove a last line without its end of line: a run that was cut off while writing."""
    try:
        with open(path, "r+b") as stream:
            content = stream.read()
            stream.truncate(content.rfind(b"\n") + 1)
    except OSError as error:
        raise cannot_write(path, error) from None


def write_rows(path: str | Path, rows: Sequence[Row]) -> None:
    """Write a whole result file, atomically."""
    lines = (json.dumps(row.to_dict(), allow_nan=False) + "\n" for row in rows)
    write_atomic(path, "".join(lines))


def read_rows(path: str | Path) -> list[Row]:
    """Read a result file: JSON lines, one row each.

    A last line without its end of line is a run that was cut off while writing: it is left out.
    """
    lines = read_text(path).split("\n")
    return [
        Row.from_dict(parse_json(line, f"{path}:{number}"), f"{path}:{number}")
        for number, line in enumerate(lines[:-1], start=1)
        if line.strip()
    ]
