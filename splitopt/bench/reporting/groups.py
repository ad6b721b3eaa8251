"""Result rows in order: by problem and objective, then by solver and instance.

Everything that a report says starts from a `Group`. It also settles three questions once: what the
best known value of an instance is, when a run counts as solved, and which time it then has.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from splitopt.bench.rows import Row
from splitopt.errors import InputError
from splitopt.results import relative_gap

TOLERANCE = 1e-6
"""The relative gap to the best known value at or below which a run counts as solved."""

InstanceKey = tuple[str, str]
"""Name and digest of an instance: the same name with other numbers is another instance."""


@dataclass(frozen=True)
class Run:
    """A row and what the rows of the other solvers say of it.

    Parameters
    ----------
    row
        The row.
    solver
        Name of the solver, with the options in which its runs differ.
    gap
        Relative gap of the checked value to the best known one; infinite without a value.
    within
        Whether it counts as solved: the gap is within the tolerance, or the run says that the
        instance is infeasible and no answer is known.
    """

    row: Row
    solver: str
    gap: float
    within: bool

    @property
    def ran(self) -> bool:
        """Whether the solver was started at all."""
        return self.row.status != "skipped"

    @property
    def instance(self) -> InstanceKey:
        """Name and digest of the instance."""
        return self.row.instance, self.row.instance_digest

    @property
    def time_s(self) -> float:
        """Total time in s of a run that counts as solved, infinite for any other."""
        time = finite(self.row.total_s)
        return time if self.within and time is not None else math.inf

    @property
    def proved(self) -> bool:
        """Whether it ended with a proof: of optimality, or that there is no answer."""
        if self.row.outcome == "optimal":
            return checked_value(self.row) is not None
        return self.row.outcome == "infeasible" and self.within


@dataclass(frozen=True)
class Group:
    """All runs on one problem under one objective.

    Parameters
    ----------
    problem, objective
        What the runs are about.
    tolerance
        The gap to the best known value at which a run counts as solved.
    best
        The lowest value known of each instance: from the library or from a checked run here. An
        instance that is missing has none.
    runs
        The runs in the order of the rows.
    """

    problem: str
    objective: str
    tolerance: float
    best: Mapping[InstanceKey, float]
    runs: tuple[Run, ...]

    @cached_property
    def cells(self) -> Mapping[tuple[str, InstanceKey], tuple[Run, ...]]:
        """Runs of each solver on each instance that were started, one per seed or repeat."""
        found: dict[tuple[str, InstanceKey], list[Run]] = defaultdict(list)
        for run in self.runs:
            if run.ran:
                found[run.solver, run.instance].append(run)
        return {key: tuple(runs) for key, runs in found.items()}

    @cached_property
    def solvers(self) -> tuple[str, ...]:
        """All solvers, also those that were never started."""
        return tuple(sorted({run.solver for run in self.runs}))

    @cached_property
    def started(self) -> tuple[str, ...]:
        """The solvers that were started at least once."""
        return tuple(sorted({solver for solver, _ in self.cells}))

    @cached_property
    def instances(self) -> tuple[InstanceKey, ...]:
        """The instances that at least one solver was started on."""
        return tuple(sorted({instance for _, instance in self.cells}))

    def time_s(self, solver: str, instance: InstanceKey) -> float:
        """Median time in s of a solver over its runs on an instance; unsolved runs are infinite."""
        runs = self.cells.get((solver, instance), ())
        return statistics.median(run.time_s for run in runs) if runs else math.inf


def finite(value: float | None) -> float | None:
    """Return a number that is finite, None for anything else."""
    return value if value is not None and math.isfinite(value) else None


def checked_value(row: Row) -> float | None:
    """Return the value of a run's checked feasible decision in the units of the objective."""
    return finite(row.value) if row.solved else None


def solver_labels(rows: Iterable[Row]) -> dict[tuple[str, str], str]:
    """Name each pair of solver and options (as `options_key`), with the options that differ."""
    sets: dict[str, dict[str, Mapping[str, object]]] = defaultdict(dict)
    for row in rows:
        sets[row.solver][options_key(row)] = row.options
    labels = {}
    for solver, found in sets.items():
        names = sorted({name for options in found.values() for name in options})
        differ = [
            name for name in names if len({repr(one.get(name)) for one in found.values()}) > 1
        ]
        for key, options in found.items():
            text = ", ".join(f"{name}={options[name]}" for name in differ if name in options)
            labels[solver, key] = f"{solver} ({text or 'default'})" if len(found) > 1 else solver
    return labels


def options_key(row: Row) -> str:
    """Return the options of a row as text that is the same for the same options."""
    return json.dumps(dict(row.options), sort_keys=True)


def best_values(rows: Iterable[Row]) -> dict[InstanceKey, float]:
    """Find the lowest known value of each instance, in the rows of one problem and objective."""
    best: dict[InstanceKey, float] = {}
    for row in rows:
        key = (row.instance, row.instance_digest)
        for value in (finite(row.best_known), checked_value(row)):
            if value is not None:
                best[key] = min(value, best.get(key, math.inf))
    return best


def group_rows(rows: Sequence[Row], tolerance: float = TOLERANCE) -> tuple[Group, ...]:
    """Sort rows into groups, one per problem and objective, in the order of their names.

    Raises
    ------
    InputError
        The tolerance is not a number >= 0.
    """
    if not tolerance >= 0:
        raise InputError(f"tolerance: is {tolerance}, it must be a number >= 0")
    labels = solver_labels(rows)
    parts: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        parts[row.problem, row.objective].append(row)
    return tuple(_group(parts[key], labels, tolerance) for key in sorted(parts))


def _group(rows: list[Row], labels: Mapping[tuple[str, str], str], tolerance: float) -> Group:
    best = best_values(rows)
    runs = []
    for row in rows:
        known = best.get((row.instance, row.instance_digest))
        value = checked_value(row)
        gap = math.inf if value is None or known is None else relative_gap(value, known)
        claims_none = row.status == "ok" and row.outcome == "infeasible"
        within = gap <= tolerance or (claims_none and known is None)
        runs.append(Run(row, labels[row.solver, options_key(row)], gap, within))
    return Group(rows[0].problem, rows[0].objective, tolerance, best, tuple(runs))
