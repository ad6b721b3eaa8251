"""The row of the benchmark: one run of one solver on one instance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

if TYPE_CHECKING:
    from splitopt.documents.schemas import Document

Status = Literal["ok", "skipped", "crashed", "timeout", "memory", "lied"]
"""How the run went: ``timeout`` and ``memory`` were stopped by the runner, ``lied`` made a false
claim: an objective, a feasibility or a bound that the runner's own check contradicts."""

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
        from splitopt.documents.schemas import validated

        validated(_schema(), document, source)
        return cls(**document)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-ready data."""
        return asdict(self)


@cache
def _schema() -> type[Document]:
    from splitopt.bench.rows.schema import row_document

    return row_document(get_type_hints(Row))


def run_key(
    problem: str,
    objective: str,
    instance: str,
    solver: str,
    options: Mapping[str, Any],
    seed: int,
    time_limit_s: float,
) -> str:
    """Return the text that identifies a run within a result file."""
    chosen = json.dumps(dict(options), sort_keys=True)
    parts = (problem, objective, instance, solver, chosen, str(seed), f"{time_limit_s:g}")
    return "|".join(parts)
