"""Runs of two result files that are the same run, put side by side."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from splitopt.bench.reporting.groups import checked_value, finite, options_key, solver_labels
from splitopt.bench.rows import Row

FLOOR_S = 0.01
"""Times in s below this count as this much: shorter ones are never called a regression."""

Key = tuple[str, str, str, str, str, str, int]
"""Problem, objective, instance, digest, solver, options and seed: all but the time limit."""


@dataclass(frozen=True)
class Pair:
    """The runs of one key in either file, several where it was repeated.

    ``comparable`` is false where the time limits differ and a limit stopped one of the runs: under
    the other limit it might have ended otherwise.
    """

    key: Key
    solver: str
    before: tuple[Row, ...]
    after: tuple[Row, ...]
    comparable: bool

    @property
    def log_ratio(self) -> float | None:
        """Logarithm of time after over time before; None where that says nothing.

        Times are medians over the repeats of the runs with a checked answer (or a proof that there
        is none), taken as at least `FLOOR_S`. There is none where both are below that floor, where
        one side has no such run, or where the time limit stopped both sides.
        """
        before, after = typical_time(self.before), typical_time(self.after)
        if not self.comparable or before is None or after is None:
            return None
        if max(before, after) < FLOOR_S or (_limited(self.before) and _limited(self.after)):
            return None
        return math.log(max(after, FLOOR_S) / max(before, FLOOR_S))


def pair_rows(
    rows_a: Sequence[Row], rows_b: Sequence[Row]
) -> tuple[tuple[Pair, ...], tuple[Row, ...], tuple[Row, ...]]:
    """Pair the runs of two files by their keys, and list those that one file has alone.

    Runs under the same time limit are paired with each other. Where a key has no limit in both
    files, its runs under the largest limit of each are paired, see `Pair.comparable`; an instance
    whose numbers changed (another digest) is another key.
    """
    labels = solver_labels([*rows_a, *rows_b])
    sides = (_by_key_and_limit(rows_a), _by_key_and_limit(rows_b))
    pairs: list[Pair] = []
    alone: tuple[list[Row], list[Row]] = ([], [])
    for key in sorted(sides[0].keys() | sides[1].keys()):
        before, after = dict(sides[0].get(key, {})), dict(sides[1].get(key, {}))
        label = labels[key[4], key[5]]
        common = sorted(before.keys() & after.keys())
        if not common and before and after:
            first, second = before.pop(max(before)), after.pop(max(after))
            stopped = any(_stopped_by_limit(row) for row in (*first, *second))
            pairs.append(Pair(key, label, first, second, comparable=not stopped))
        pairs += [
            Pair(key, label, before.pop(limit), after.pop(limit), comparable=True)
            for limit in common
        ]
        for left, found in ((before, alone[0]), (after, alone[1])):
            found += [row for rows in left.values() for row in rows]
    return tuple(pairs), tuple(alone[0]), tuple(alone[1])


def pair_key(row: Row) -> Key:
    """Return what identifies a run in a comparison."""
    return (
        row.problem,
        row.objective,
        row.instance,
        row.instance_digest,
        row.solver,
        options_key(row),
        row.seed,
    )


def _by_key_and_limit(rows: Iterable[Row]) -> dict[Key, dict[float, tuple[Row, ...]]]:
    found: dict[Key, dict[float, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[pair_key(row)][row.time_limit_s].append(row)
    return {
        key: {limit: tuple(same) for limit, same in limits.items()} for key, limits in found.items()
    }


def _stopped_by_limit(row: Row) -> bool:
    return row.stop_reason == "time" or row.status == "timeout"


def _limited(rows: Iterable[Row]) -> bool:
    return any(_stopped_by_limit(row) for row in rows)


def typical_time(rows: Iterable[Row]) -> float | None:
    """Compute the median total time in s of the runs that answered; None without any."""
    times = _answer_times(rows)
    return statistics.median(times) if times else None


def _answer_times(rows: Iterable[Row]) -> list[float]:
    return [
        time for row in rows if rank(row) >= FEASIBLE and (time := finite(row.total_s)) is not None
    ]


FALSE_CLAIM, BROKEN, UNANSWERED, FEASIBLE, PROVED = range(5)
RANKS = ("lied", "failed or skipped", "no answer", "feasible", "proved")
"""Names of the ranks of a run, from worst to best."""


def rank(row: Row) -> int:
    """Return the rank of how a run ended, whose name stands in `RANKS`."""
    if row.status == "lied":
        return FALSE_CLAIM
    if row.status != "ok":
        return BROKEN
    if checked_value(row) is None:
        return PROVED if row.outcome == "infeasible" else UNANSWERED
    return PROVED if row.outcome == "optimal" else FEASIBLE


def repeat_spread(rows: Iterable[Row]) -> float | None:
    """Measure the noise of times: the standard deviation of their logarithm between repeats.

    Repeats are answered runs of the same key. Where a file holds no such repeats, runs that differ
    in nothing but their seed stand in for them, which overstates the noise of a solver whose work
    depends on the seed. Pooled over all keys; None where nothing was repeated. Runs that were
    stopped by their time limit and times below `FLOOR_S` are left out.

    Parameters
    ----------
    rows
        Rows of one file.
    """
    timed = [
        row
        for row in rows
        if not _stopped_by_limit(row) and any(time >= FLOOR_S for time in _answer_times([row]))
    ]
    exact: dict[str, list[float]] = defaultdict(list)
    seeds: dict[str, list[float]] = defaultdict(list)
    for row in timed:
        assert row.total_s is not None  # it has an answer time
        for groups, key in ((exact, pair_key(row)), (seeds, pair_key(row)[:-1])):
            groups[json.dumps([*key, row.time_limit_s])].append(math.log(row.total_s))
    spread = _pooled(exact)
    return _pooled(seeds) if spread is None else spread


def _pooled(groups: Mapping[str, Sequence[float]]) -> float | None:
    """Compute the pooled standard deviation within groups."""
    repeated = [values for values in groups.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    if not freedom:
        return None
    total = sum((value - statistics.fmean(values)) ** 2 for values in repeated for value in values)
    return math.sqrt(total / freedom)
