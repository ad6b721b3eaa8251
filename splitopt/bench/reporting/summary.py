"""The summary of benchmark rows that the terminal and the page show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.bench.reporting.curves import (
    FIT_FLOOR_S,
    Fit,
    Measure,
    Point,
    anytime,
    fit_points,
    performance_ratios,
    profile_at,
    scaling_points,
    scaling_runs,
    solving_times,
    time_range,
)
from splitopt.bench.reporting.groups import TOLERANCE, Group, group_rows
from splitopt.bench.reporting.tables import Reason, SolverLine, reasons, solver_lines
from splitopt.bench.rows import Row

TAUS = (1.0, 2.0, 5.0, 10.0, 100.0, math.inf)
"""Factors at which the tables give the performance profiles."""

MEASURES: tuple[tuple[Measure, str, float], ...] = (
    ("total_s", "total time", FIT_FLOOR_S),
    ("peak_memory_mib", "peak memory", 0.0),
)
"""What scaling curves show: field, name, and the smallest number that enters a fit."""

_PLAIN = {
    "processor": "{}",
    "cores": "{} cores",
    "memory_mib": "{} MiB",
    "system": "{}",
    "architecture": "{}",
    "python": "Python {}",
}


@dataclass(frozen=True)
class GrowthLine:
    """How one measure of one solver grows with the size; no fit with fewer than three sizes."""

    measure: str
    solver: str
    points: tuple[Point, ...]
    fit: Fit | None


@dataclass(frozen=True)
class Growth:
    """The scaling part of a section: name of the size and a line per measure and solver."""

    size: str
    lines: tuple[GrowthLine, ...]


@dataclass(frozen=True)
class Section:
    """All about one problem under one objective.

    Of each solver that was started, ``profile`` holds the fractions at `TAUS` and ``gaps`` the mean
    and median gap at ``times_s``; both are empty where there is nothing to compare.
    """

    group: Group
    conditions: str
    lines: tuple[SolverLine, ...]
    reasons: tuple[Reason, ...]
    profile: tuple[tuple[str, tuple[float, ...]], ...]
    times_s: tuple[float, ...]
    gaps: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...]
    growth: Growth | None
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Heading of the section."""
        return f"{self.group.problem}, objective {self.group.objective}"


@dataclass(frozen=True)
class BenchmarkSummary:
    """The whole report: facts about machine and versions, warnings, and a section per problem."""

    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    sections: tuple[Section, ...]


def summarize_rows(rows: Sequence[Row], tolerance: float = TOLERANCE) -> BenchmarkSummary:
    """Summarize a set of rows; there may be none.

    Raises
    ------
    InputError
        The tolerance is not a number >= 0.
    """
    groups = group_rows(rows, tolerance)
    return BenchmarkSummary(
        _facts(rows), _warnings(rows), tuple(_section(group) for group in groups)
    )


def _section(group: Group) -> Section:
    ratios = performance_ratios(solving_times(group))
    lines = solver_lines(group)
    rank = {line.solver: place for place, line in enumerate(lines)}
    return Section(
        group=group,
        conditions=conditions([run.row for run in group.runs], len(group.instances)),
        lines=lines,
        reasons=reasons(group),
        profile=tuple(
            (solver, tuple(profile_at(ratios[index], tau) for tau in TAUS))
            for index, solver in sorted(
                enumerate(group.started), key=lambda solver: rank[solver[1]]
            )
        )
        if np.isfinite(ratios).any()
        else (),
        **_gaps(group, rank),
        growth=_growth(group, rank),
        notes=_section_notes(group),
    )


def _gaps(group: Group, rank: Mapping[str, int]) -> dict[str, Any]:
    """Tabulate the gap over time at decades between the first and the last answer."""
    span = time_range(group)
    if span is None:
        return {"times_s": (), "gaps": ()}
    first, last = math.floor(math.log10(span[0])), math.ceil(math.log10(span[1]))
    decades = range(max(first, last - 5), last + 1)
    times = tuple(min(10.0**decade, span[1]) for decade in decades)
    curves = anytime(group, np.array(times))
    gaps = tuple(
        (solver, tuple(curve.mean.tolist()), tuple(curve.median.tolist()))
        for solver, curve in sorted(curves.items(), key=lambda item: rank[item[0]])
    )
    return {"times_s": times, "gaps": gaps}


def _growth(group: Group, rank: Mapping[str, int]) -> Growth | None:
    found = scaling_runs(group)
    if found is None:
        return None
    size, runs = found
    lines = [
        GrowthLine(name, solver, points, fit_points(points, floor))
        for field, name, floor in MEASURES
        for solver, points in scaling_points(runs, size, field).items()
    ]
    lines.sort(key=lambda line: rank[line.solver])
    return Growth(size, tuple(lines))


def conditions(rows: Iterable[Row], instances: int) -> str:
    """State under which conditions rows came about: instances, seeds, threads and limits.

    >>> conditions([], 0)
    '0 instances'
    """
    ran = [row for row in rows if row.status != "skipped"]
    parts = [f"{instances} instance{'' if instances == 1 else 's'}"]
    if ran:
        seeds = sorted({row.seed for row in ran})
        threads = _listed(row.threads for row in ran)
        parts += [
            f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds",
            f"{threads} thread{'' if threads == '1' else 's'}",
            f"limits {_listed(row.time_limit_s for row in ran)} s and "
            f"{_listed(row.memory_limit_mib for row in ran)} MiB per run",
        ]
    return ", ".join(parts)


def _listed(numbers: Iterable[float]) -> str:
    return " or ".join(f"{number:,g}" for number in sorted(set(numbers)))


def _facts(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """State where the rows come from: machines, versions, revisions, time."""
    if not rows:
        return ()
    solvers = sorted({f"{row.solver} {row.solver_version}".strip() for row in rows})
    stamps = sorted(row.timestamp for row in rows)
    period = stamps[0] if stamps[0] == stamps[-1] else f"{stamps[0]} to {stamps[-1]}"
    return (
        ("Rows", f"{len(rows):,} (suite {', '.join(sorted({row.suite for row in rows}))})"),
        ("Machine", "; ".join(machines(rows))),
        ("Threads per run", _listed(row.threads for row in rows)),
        (
            "splitopt",
            ", ".join(
                sorted({f"{row.splitopt_version} ({row.git_revision or 'no git'})" for row in rows})
            ),
        ),
        ("Solvers", ", ".join(solvers)),
        ("Run from", period),
    )


def machines(rows: Iterable[Row]) -> tuple[str, ...]:
    """Write each different machine once, all that is known of it."""
    return tuple(sorted({_machine(row) for row in rows}))


def _machine(row: Row) -> str:
    known = []
    for key, value in row.machine.items():
        if value not in (None, ""):
            known.append(_PLAIN[key].format(value) if key in _PLAIN else f"{key} {value}")
    return ", ".join(known) or "unknown"


def _warnings(rows: Sequence[Row]) -> tuple[str, ...]:
    """List what makes the rows unfit to be compared with each other."""
    notes = []
    if (count := len(machines(rows))) > 1:
        notes.append(f"The rows come from {count} machines: their times cannot be compared.")
    if len({row.threads for row in rows}) > 1:
        notes.append("The rows differ in their number of threads: times cannot be compared.")
    revisions = {(row.splitopt_version, row.git_revision) for row in rows}
    if len(revisions) > 1:
        notes.append(f"The rows come from {len(revisions)} revisions of splitopt.")
    if any((row.git_revision or "").endswith("-dirty") for row in rows):
        notes.append("Some rows come from a checkout with changes that no revision holds.")
    return tuple(notes)


def _section_notes(group: Group) -> tuple[str, ...]:
    notes = []
    rows = [run.row for run in group.runs if run.ran]
    if len({(row.time_limit_s, row.memory_limit_mib) for row in rows}) > 1:
        notes.append("The runs differ in their limits, so they are not on equal terms.")
    if idle := sorted(set(group.solvers) - set(group.started)):
        notes.append(f"Never started, so in no chart: {', '.join(idle)}.")
    uneven = [
        f"{solver} ({started} of {len(group.instances)})"
        for solver in group.started
        if (started := _started(group, solver)) < len(group.instances)
    ]
    if uneven:
        notes.append(
            "Not started on all instances, which the charts count as unsolved there: "
            + ", ".join(uneven)
            + "."
        )
    return tuple(notes)


def _started(group: Group, solver: str) -> int:
    return sum((solver, instance) in group.cells for instance in group.instances)
