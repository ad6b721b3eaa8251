"""Building a timeline of parties that work side by side, each one task after the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from splitopt.simulation.noise import noise_factors
from splitopt.timeline import FloatArray, IntArray, Resource, Timeline


class Row(NamedTuple):
    """A task before it has a place in time."""

    resource: int
    phase: int
    owner: int
    batch: int
    share: float


def side_by_side(
    rows: Sequence[Row], seconds: FloatArray, factors: FloatArray | None, start_s: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Return starts and ends (T,) of tasks; each owner's follow one another without a gap."""
    taken = seconds if factors is None else seconds * factors
    owner = np.array([row.owner for row in rows], dtype=np.int64)
    end = np.empty_like(taken)
    order = np.argsort(owner, kind="stable")
    edges = np.searchsorted(owner[order], np.arange(owner.max(initial=-1) + 2))
    for first, last in pairwise(edges):
        mine = order[first:last]
        end[mine] = start_s + np.cumsum(taken[mine])
    return end - taken, end


def make_timeline(
    resources: Sequence[Resource],
    phases: Sequence[str],
    owners: Sequence[str],
    rows: Sequence[Row],
    start_s: FloatArray,
    end_s: FloatArray,
    origin: dict[str, Any],
) -> Timeline:
    """Build the timeline of tasks, by start; tasks of no time are left out."""
    table = np.array([row[:4] for row in rows], dtype=np.int64).reshape(-1, 4)
    share = np.array([row.share for row in rows])
    order: IntArray = np.lexsort((table[:, 0], start_s))
    order = order[(end_s > start_s)[order]]
    return Timeline(
        tuple(resources),
        tuple(phases),
        tuple(owners),
        resource=table[order, 0],
        phase=table[order, 1],
        owner=table[order, 2],
        batch=table[order, 3],
        start_s=start_s[order],
        end_s=end_s[order],
        share=share[order],
        origin={"source": "simulation", **origin},
    )


def batches_of(parts: Sequence[Timeline]) -> list[int]:
    """Count the numbers of batches in each part, from 0 on."""
    return [int(part.batch.max(initial=-1)) + 1 for part in parts]


def drawn(count: int, noise: float, seed: int) -> FloatArray | None:
    """Draw a noise factor for each of `count` tasks."""
    return noise_factors((count,), noise, seed)


def one_after_the_other(
    parts: Sequence[Timeline], origin: dict[str, Any], batches: Sequence[int] | None = None
) -> Timeline:
    """Join timelines of the same resources, phases and owners, each behind the one before.

    Batches are numbered through; `batches` says how many numbers each part takes, by default as
    many as it has.
    """
    starts = np.concatenate(([0.0], np.cumsum([part.makespan_s for part in parts])))
    counts = batches_of(parts) if batches is None else batches
    first = np.concatenate(([0], np.cumsum(counts)))

    def joined(name: str, shifts: Any = None) -> Any:
        columns = [getattr(part, name) for part in parts]
        if shifts is not None:
            columns = [column + shift for column, shift in zip(columns, shifts, strict=False)]
        return np.concatenate(columns)

    return Timeline(
        parts[0].resources,
        parts[0].phases,
        parts[0].owners,
        resource=joined("resource"),
        phase=joined("phase"),
        owner=joined("owner"),
        batch=joined("batch", first),
        start_s=joined("start_s", starts),
        end_s=joined("end_s", starts),
        share=joined("share"),
        origin={"source": "simulation", **origin},
    )
