"""What was done when, as plain rows that travel, and the measured timeline that they make."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from splitopt.documents.checks import is_number
from splitopt.errors import InputError
from splitopt.timeline import Resource, Timeline

_TEXTS, _NUMBERS = 4, 4
_LARGEST = 2.0**53


class Row(NamedTuple):
    """One task, from `start_s` to `end_s` of some process's monotonic clock."""

    resource: str
    kind: str
    phase: str
    owner: str
    batch: int
    start_s: float
    end_s: float
    share: float = 1.0


class Recorder:
    """Collects the tasks of one process; threads may share it."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._lock = threading.Lock()

    def add(
        self,
        resource: str,
        kind: str,
        phase: str,
        owner: str,
        batch: int,
        start_s: float,
        end_s: float,
        share: float = 1.0,
    ) -> None:
        """Record a task: on which resource (and of what kind), in which phase, for whose batch."""
        with self._lock:
            self._rows.append(
                Row(resource, kind, phase, owner, batch, start_s, max(start_s, end_s), share)
            )

    @property
    def rows(self) -> list[Row]:
        """Return all tasks so far; as JSON they are lists."""
        with self._lock:
            return list(self._rows)

    def take(self) -> list[Row]:
        """Return all tasks since the last call, and forget them."""
        with self._lock:
            taken, self._rows = self._rows, []
        return taken


def read_rows(values: Any, offset_s: float = 0.0, source: str = "rows") -> list[Row]:
    """Read rows that another process has sent.

    Parameters
    ----------
    values
        A list of lists.
    offset_s
        By how much that process's clock is ahead; the rows' times become those of one's own.
    source
        How messages call it.

    Raises
    ------
    InputError
        They are not rows.
    """
    if not isinstance(values, list):
        raise InputError.at(source, "must be a list of rows")
    found = []
    for index, value in enumerate(values):
        fine = (
            isinstance(value, list | tuple)
            and len(value) == _TEXTS + _NUMBERS
            and all(isinstance(item, str) for item in value[:_TEXTS])
            and all(is_number(item) and abs(item) < _LARGEST for item in value[_TEXTS:])
            and isinstance(value[_TEXTS], int)
            and value[_TEXTS] >= 0
        )
        if not fine:
            raise InputError.at(f"{source}[{index}]", "must be 4 texts, a count and 3 numbers")
        row = Row(*value)
        found.append(row._replace(start_s=row.start_s - offset_s, end_s=row.end_s - offset_s))
    return found


def measured_timeline(
    rows: Iterable[Sequence[Any]],
    time_scale: float = 1.0,
    origin: Mapping[str, Any] | None = None,
    like: Timeline | None = None,
) -> Timeline:
    """Put rows into a timeline in the plan's seconds.

    Parameters
    ----------
    rows
        All of one clock.
    time_scale
        Measured s for each s of the plan.
    origin
        Plain data for the timeline's origin, beside that it was measured.
    like
        A predicted timeline: its resources, phases and owners come first, in its order.

    Returns
    -------
    A timeline whose earliest task starts at 0, ordered by start.

    Raises
    ------
    InputError
        The scale is not above 0.
    """
    if not 0 < time_scale < float("inf"):
        raise InputError.at("time_scale", f"is {time_scale!r}, it must be above 0")
    tasks = sorted((Row(*row) for row in rows), key=lambda row: (row.start_s, row.end_s))
    zero = tasks[0].start_s if tasks else 0.0
    known = like if like is not None else Timeline((), (), (), *[np.empty(0)] * 7)  # type: ignore[arg-type]
    kinds = {item.name: item.kind for item in known.resources}
    kinds |= {row.resource: row.kind for row in tasks if row.resource not in kinds}
    phases = list(dict.fromkeys([*known.phases, *(row.phase for row in tasks)]))
    owners = list(dict.fromkeys([*known.owners, *(row.owner for row in tasks)]))
    places = [{name: i for i, name in enumerate(names)} for names in (kinds, phases, owners)]
    return Timeline(
        tuple(Resource(name, kind) for name, kind in kinds.items()),
        tuple(phases),
        tuple(owners),
        np.array([places[0][row.resource] for row in tasks], dtype=np.int64),
        np.array([places[1][row.phase] for row in tasks], dtype=np.int64),
        np.array([places[2][row.owner] for row in tasks], dtype=np.int64),
        np.array([row.batch for row in tasks], dtype=np.int64),
        np.array([(row.start_s - zero) / time_scale for row in tasks]),
        np.array([(row.end_s - zero) / time_scale for row in tasks]),
        np.array([row.share for row in tasks], dtype=np.float64),
        {"source": "measured", "time_scale": float(time_scale), **(origin or {})},
    )
