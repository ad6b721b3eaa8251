"""The timeline: what every resource did when, whether simulated or measured.

A timeline is a table of tasks, kept as columns. It is the one value that simulators give, that the
Gantt chart draws and that measured training is compared with.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.documents.json_text import expect_format, read_json
from splitopt.documents.taking import path_of
from splitopt.errors import InputError
from splitopt.extras import data_frame
from splitopt.showing import Drawn
from splitopt.storage.writing import write_rows

FORMAT = "splitopt-timeline"
VERSION = 1

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_NAMES = ("resource", "phase", "owner", "batch")
_NUMBERS = ("start_s", "end_s", "share")


@dataclass(frozen=True)
class Resource:
    """Something that tasks occupy, such as a node, one direction of a link, or a device.

    ``kind`` is one word or two for all resources of a sort; summaries and charts group by it.
    """

    name: str
    kind: str


@dataclass(frozen=True)
class Task:
    """One row of a timeline: a piece of work on a resource, from `start_s` to `end_s` in s."""

    resource: str
    phase: str
    owner: str
    batch: int
    start_s: float
    end_s: float
    share: float


@dataclass(frozen=True)
class Usage:
    """How much a resource had to do.

    Parameters
    ----------
    busy_s
        Time in which it did anything, in s.
    used_s
        Time of the tasks, each times its share, in s; equal to `busy_s` where nothing overlaps.
    tasks
        Number of tasks.
    """

    resource: Resource
    busy_s: float
    used_s: float
    tasks: int


@dataclass(frozen=True, eq=False)
class Timeline(Drawn):
    """Tasks on resources, as columns of one length T.

    Parameters
    ----------
    resources, phases, owners
        What the columns number: the resources, the names of the phases, and for whom work is done.
    resource, phase, owner
        Shape (T,), indices into these.
    batch
        Shape (T,): the owner's batch (or epoch, or round) that a task belongs to, from 0.
    start_s, end_s
        Shape (T,), s since the start of the timeline.
    share
        Shape (T,), fraction of the resource that a task takes; 1 by default. The shares of the
        tasks that run on a resource at the same time add up to at most 1.
    origin
        Plain data: where the timeline is from, such as problem, seed and noise.

    Raises
    ------
    InputError
        Columns whose lengths differ, an index that names nothing, a task that ends before it
        starts, a share outside 0..1, or a number that is not finite.
    """

    resources: tuple[Resource, ...]
    phases: tuple[str, ...]
    owners: tuple[str, ...]
    resource: IntArray
    phase: IntArray
    owner: IntArray
    batch: IntArray
    start_s: FloatArray
    end_s: FloatArray
    share: FloatArray
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tasks = len(self.start_s)
        for name in (*_NAMES, *_NUMBERS):
            kind = np.int64 if name in _NAMES else np.float64
            column = np.array(getattr(self, name), dtype=kind)
            if column.shape != (tasks,):
                raise InputError.at(name, f"has shape {column.shape}, there are {tasks} tasks")
            if not np.isfinite(column).all():
                raise InputError.at(name, "holds a number that is not finite")
            column.setflags(write=False)
            object.__setattr__(self, name, column)
        limits = {
            "resource": len(self.resources),
            "phase": len(self.phases),
            "owner": len(self.owners),
            "batch": np.inf,
        }
        for name, limit in limits.items():
            column = getattr(self, name)
            if tasks and (column.min() < 0 or column.max() >= limit):
                bad = int(np.flatnonzero((column < 0) | (column >= limit))[0])
                raise InputError.at(f"{name}[{bad}]", f"is {column[bad]}, which names nothing")
        for wrong, name, words in (
            (self.end_s < self.start_s, "end_s", "is before the task's start"),
            ((self.share < 0) | (self.share > 1), "share", "is not a fraction from 0 to 1"),
        ):
            if wrong.any():
                raise InputError.at(f"{name}[{int(wrong.argmax())}]", words)

    def __len__(self) -> int:
        return len(self.start_s)

    @cached_property
    def makespan_s(self) -> float:
        """When the last task ends, s since the start; 0 without tasks."""
        return float(self.end_s.max()) if len(self) else 0.0

    @cached_property
    def usage(self) -> tuple[Usage, ...]:
        """How much each resource had to do, in the order of `resources`."""
        found = []
        for index, rows in enumerate(self._rows_by_resource()):
            start, end = self.start_s[rows], self.end_s[rows]
            seen = np.maximum.accumulate(np.concatenate(([-np.inf], end)))[:-1]
            busy = np.maximum(end - np.maximum(start, seen), 0.0).sum()
            used = ((end - start) * self.share[rows]).sum()
            found.append(Usage(self.resources[index], float(busy), float(used), len(rows)))
        return tuple(found)

    def overloads(self, tolerance: float = 1e-9) -> dict[str, float]:
        """Name the resources whose tasks overlap for more than all of it, and the largest excess.

        An overlap that is shorter than `tolerance` times the makespan is rounding.
        """
        found = {}
        slack = tolerance * self.makespan_s
        for index, rows in enumerate(self._rows_by_resource()):
            lasting = rows[self.end_s[rows] - self.start_s[rows] > slack]
            times = np.concatenate((self.end_s[lasting] - slack, self.start_s[lasting]))
            steps = np.concatenate((-self.share[lasting], self.share[lasting]))
            order = np.lexsort((steps, times))  # what ends makes room for what starts
            excess = float(np.cumsum(steps[order]).max(initial=0.0)) - 1.0
            if excess > 1e-9:
                found[self.resources[index].name] = excess
        return found

    def completions(self) -> FloatArray:
        """Return the times in s at which the batches are done, in ascending order."""
        if not len(self):
            return np.zeros(0)
        label = self.owner * (int(self.batch.max()) + 1) + self.batch
        _, group = np.unique(label, return_inverse=True)
        ends = np.zeros(int(group.max()) + 1)
        np.maximum.at(ends, group, self.end_s)
        return np.sort(ends)

    def pace_s(self) -> float:
        """Seconds from one completed batch to the next, over the middle half of the batches.

        The start, in which the pipeline fills, and the end, in which it empties, are left out. NaN
        where there are fewer than 8 batches.
        """
        done = self.completions()
        first, last = len(done) // 4, 3 * len(done) // 4
        if len(done) < 8:
            return float("nan")
        return float(done[last] - done[first]) / (last - first)

    def select(self, rows: npt.ArrayLike) -> Timeline:
        """Return the tasks that a mask (T,) or an array of indices names, in that order."""
        chosen = {name: getattr(self, name)[np.asarray(rows)] for name in (*_NAMES, *_NUMBERS)}
        return Timeline(self.resources, self.phases, self.owners, **chosen, origin=self.origin)

    def __iter__(self) -> Iterator[Task]:
        for row in range(len(self)):
            yield Task(
                self.resources[self.resource[row]].name,
                self.phases[self.phase[row]],
                self.owners[self.owner[row]],
                int(self.batch[row]),
                float(self.start_s[row]),
                float(self.end_s[row]),
                float(self.share[row]),
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the timeline as JSON-ready data, column by column."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "origin": dict(self.origin),
            "resources": [{"name": item.name, "kind": item.kind} for item in self.resources],
            "phases": list(self.phases),
            "owners": list(self.owners),
            "tasks": {name: getattr(self, name).tolist() for name in (*_NAMES, *_NUMBERS)},
        }

    @classmethod
    def from_dict(cls, document: Any, source: str = "timeline") -> Timeline:
        """Read a timeline; raise `InputError` that starts with `source` where it is none."""
        from splitopt.documents.schemas import validated
        from splitopt.timeline_documents import TimelineDocument

        found = expect_format(document, source, FORMAT, VERSION)
        checked = validated(TimelineDocument, found, source)
        columns: dict[str, Any] = {
            name: np.array(getattr(checked.tasks, name), dtype=kind)
            for names, kind in ((_NAMES, np.int64), (_NUMBERS, np.float64))
            for name in names
        }
        try:
            return cls(
                tuple(Resource(item.name, item.kind) for item in checked.resources),
                tuple(checked.phases),
                tuple(checked.owners),
                **columns,
                origin=found["origin"],
            )
        except InputError as error:
            raise InputError(f"{source}: tasks.{error}") from None

    def save(self, path: str | Path) -> None:
        """Write the timeline as JSON, or as CSV with a row per task when the path ends so."""
        write_rows(path, self.to_dict(), self.to_csv)

    @classmethod
    def load(cls, path: str | Path) -> Timeline:
        """Read a timeline from a JSON file."""
        path = path_of(path)
        return cls.from_dict(read_json(path), str(path))

    def to_frame(self) -> Any:
        """Return a row for every task as a ``pandas.DataFrame``, with the columns of `to_csv`."""
        return data_frame(self.to_csv())

    def to_csv(self) -> str:
        """Write a row per task."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["resource", "kind", *_NAMES[1:], *_NUMBERS])
        kinds = {item.name: item.kind for item in self.resources}
        for task in self:
            writer.writerow(
                [
                    task.resource,
                    kinds[task.resource],
                    task.phase,
                    task.owner,
                    task.batch,
                    repr(task.start_s),
                    repr(task.end_s),
                    repr(task.share),
                ]
            )
        return text.getvalue()

    def _rows_by_resource(self) -> list[IntArray]:
        """For each resource, the rows of its tasks in the order of their starts."""
        order = np.lexsort((self.end_s, self.start_s, self.resource))
        edges = np.searchsorted(self.resource[order], np.arange(len(self.resources) + 1))
        return [order[first:last] for first, last in pairwise(edges)]
