"""Two result files held against each other: what got slower, worse or lost, and what is noise."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from splitopt.bench.reporting.groups import checked_value
from splitopt.bench.reporting.paired import (
    BROKEN,
    FALSE_CLAIM,
    FEASIBLE,
    FLOOR_S,
    RANKS,
    Pair,
    pair_rows,
    rank,
    repeat_spread,
)
from splitopt.bench.reporting.summary import machines
from splitopt.bench.rows import Row

VALUE_TOLERANCE = 1e-9
"""Relative difference of two objectives that rounding explains."""

CONFIDENCE = 0.95
"""Probability that all intervals of a comparison hold at once."""

FEWEST_INSTANCES = 3
"""Instances with comparable times that an interval needs."""

_MOST_LINES = 20

Verdict = Literal["slower", "faster", "noise", "too few"]
Change = Literal["status", "value", "lie"]


@dataclass(frozen=True)
class SolverRatio:
    """Times of one solver on one problem and objective, after over before.

    Parameters
    ----------
    problem, objective, solver
        What it is about.
    pairs
        Runs in both files.
    instances
        Instances with a ratio that says something, see `Pair.log_ratio`.
    ratio
        Geometric mean of the ratios, over the seeds of an instance and then over the instances;
        None without any.
    low, high
        Its confidence interval over the instances; None with fewer than three.
    spread
        Factor by which times differ between repeats of the same run (one standard deviation of
        the logarithm), from either file; None if nothing was repeated.
    verdict
        Whether that is a change, and why not if it is none (``reason``).
    """

    problem: str
    objective: str
    solver: str
    pairs: int
    instances: int
    ratio: float | None
    low: float | None
    high: float | None
    spread: float | None
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class RunChange:
    """A run that ended better or worse than before: status, value, or a new false claim."""

    key: str
    solver: str
    change: Change
    before: str
    after: str
    message: str | None


@dataclass(frozen=True)
class Comparison:
    """What differs between result file A (before) and B (after)."""

    ratios: tuple[SolverRatio, ...]
    regressions: tuple[RunChange, ...]
    improvements: tuple[RunChange, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    incomparable: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def regressed(self) -> bool:
        """Whether anything got worse beyond noise."""
        return bool(self.regressions) or any(one.verdict == "slower" for one in self.ratios)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON-ready data."""
        return {
            "format": "splitopt-bench-comparison",
            "version": 1,
            "confidence": CONFIDENCE,
            "floor_s": FLOOR_S,
            "regressed": self.regressed,
            **asdict(self),
        }

    def to_terminal(self) -> RenderableType:
        """Lay the comparison out: ratios, changes by run, runs in one file only, verdict."""
        parts: list[RenderableType] = []
        if self.ratios:
            parts += [_heading("Time B / A over paired runs (above 1 is slower)"), _ratios(self)]
        parts += _changes("Regressions", self.regressions, "red")
        parts += _changes("Improvements", self.improvements, "green")
        for title, keys in (
            ("Only in A", self.only_a),
            ("Only in B", self.only_b),
            ("Not comparable: the time limits differ and stopped a run", self.incomparable),
        ):
            parts += _listed(title, keys)
        parts += [Text(f"Note: {note}", style="yellow") for note in self.notes]
        return Group(*parts, self._verdict())

    def _verdict(self) -> Text:
        if not self.ratios:
            return Text("The files have no run in common.", style="bold yellow")
        slower = sum(one.verdict == "slower" for one in self.ratios)
        if not self.regressed:
            return Text("Nothing got worse beyond noise.", style="bold green")
        return Text(
            f"Got worse: {len(self.regressions)} runs in status or value, "
            f"{slower} solvers in time.",
            style="bold red",
        )


def compare(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> Comparison:
    """Compare two result files run by run.

    Runs are paired by problem, objective, instance (and its digest), solver, options and seed. The
    time limit is not part of that: a run that ended by itself under either limit would have ended
    so under the other. Where the limits differ and stopped a run, the pair is listed as not
    comparable.

    Per solver, the logarithms of the time ratios give a geometric mean and a Student-t interval
    over the instances; the seeds of an instance are averaged before, as they are not independent.
    The intervals of all solvers hold at once with 95 % probability (Bonferroni). A ratio is noise
    if its interval contains 1 or if it is below the spread between repeats of the same run.

    Parameters
    ----------
    rows_a
        The result before.
    rows_b
        The result after.
    """
    pairs, only_a, only_b = pair_rows(rows_a, rows_b)
    usable = [pair for pair in pairs if pair.comparable]
    changes = [change for pair in usable for change in _pair_changes(pair)]
    return Comparison(
        ratios=_solver_ratios(pairs),
        regressions=tuple(change for worse, change in changes if worse),
        improvements=tuple(change for worse, change in changes if not worse),
        only_a=_keys(only_a),
        only_b=_keys(only_b),
        incomparable=_keys(pair.after[0] for pair in pairs if not pair.comparable),
        notes=_notes(rows_a, rows_b),
    )


def _keys(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(sorted({row.key for row in rows}))


def _pair_changes(pair: Pair) -> list[tuple[bool, RunChange]]:
    """List how a run's end changed, with whether it got worse; of repeats, the worst counts."""
    before, after = min(pair.before, key=_goodness), min(pair.after, key=_goodness)
    ranks = rank(before), rank(after)
    if ranks[0] != ranks[1]:
        change: Change = "lie" if FALSE_CLAIM in ranks else "status"
        return [(ranks[1] < ranks[0], _change(pair, change, before, after))]
    values = checked_value(before), checked_value(after)
    if ranks[0] < FEASIBLE or values[0] is None or values[1] is None:
        return []
    if abs(values[1] - values[0]) <= VALUE_TOLERANCE * max(abs(values[0]), abs(values[1])):
        return []
    return [(values[1] > values[0], _change(pair, "value", before, after))]


def _goodness(row: Row) -> tuple[int, float]:
    value = checked_value(row)
    return rank(row), -math.inf if value is None else -value


def _change(pair: Pair, change: Change, before: Row, after: Row) -> RunChange:
    return RunChange(after.key, pair.solver, change, _state(before), _state(after), after.message)


def _state(row: Row) -> str:
    """Describe how a run ended: its status if that is a failure, else outcome and value."""
    if rank(row) <= BROKEN:
        return row.status
    value = checked_value(row)
    return RANKS[rank(row)] if value is None else f"{RANKS[rank(row)]}, {value!r}"


def _solver_ratios(pairs: Iterable[Pair]) -> tuple[SolverRatio, ...]:
    groups: dict[tuple[str, str, str], list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.key[0], pair.key[1], pair.solver].append(pair)
    logs = {key: _by_instance(members) for key, members in groups.items()}
    tested = sum(len(values) >= FEWEST_INSTANCES for values in logs.values())
    level = 1 - (1 - CONFIDENCE) / max(tested, 1)
    return tuple(_solver_ratio(key, groups[key], logs[key], level) for key in sorted(groups))


def _by_instance(pairs: Iterable[Pair]) -> list[float]:
    """Average the log ratios over the seeds of each instance."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for pair in pairs:
        if (log := pair.log_ratio) is not None:
            found[pair.key[2], pair.key[3]].append(log)
    return [statistics.fmean(logs) for logs in found.values()]


def _solver_ratio(
    key: tuple[str, str, str], pairs: Sequence[Pair], logs: Sequence[float], level: float
) -> SolverRatio:
    spread = _noise(pairs)
    low, high = interval(logs, level) if len(logs) >= FEWEST_INSTANCES else (None, None)
    mean = statistics.fmean(logs) if logs else None
    verdict, reason = _judge(mean, low, high, spread)
    return SolverRatio(
        *key,
        pairs=len(pairs),
        instances=len(logs),
        ratio=_exp(mean),
        low=_exp(low),
        high=_exp(high),
        spread=_exp(spread),
        verdict=verdict,
        reason=reason,
    )


def _noise(pairs: Sequence[Pair]) -> float | None:
    """Return the larger one of both files' spreads between repeats."""
    sides = (
        [row for pair in pairs for row in pair.before],
        [row for pair in pairs for row in pair.after],
    )
    spreads = [spread for rows in sides if (spread := repeat_spread(rows)) is not None]
    return max(spreads, default=None)


def interval(logs: Sequence[float], level: float) -> tuple[float, float]:
    """Compute the Student-t confidence interval of the mean of at least two numbers."""
    from scipy.stats import t

    mean = statistics.fmean(logs)
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    reach = float(t.ppf((1 + level) / 2, len(logs) - 1)) * error
    return mean - reach, mean + reach


def _judge(
    mean: float | None, low: float | None, high: float | None, spread: float | None
) -> tuple[Verdict, str]:
    """Judge whether a mean log ratio is a change, all in logarithms."""
    if mean is None or low is None or high is None:
        return "too few", f"fewer than {FEWEST_INSTANCES} instances"
    if low <= 0 <= high:
        return "noise", "the interval contains 1"
    if spread is not None and abs(mean) <= spread:
        return "noise", "within the spread between repeats"
    return ("slower" if mean > 0 else "faster"), "beyond the interval and the spread"


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(value)


def _notes(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> tuple[str, ...]:
    notes = []
    for name, differ in (
        ("machines", machines(rows_a) != machines(rows_b)),
        ("numbers of threads", _threads(rows_a) != _threads(rows_b)),
    ):
        if rows_a and rows_b and differ:
            notes.append(f"A and B come from different {name}: their times are not comparable.")
    return tuple(notes)


def _threads(rows: Iterable[Row]) -> set[int]:
    return {row.threads for row in rows}


def _heading(text: str) -> Text:
    return Text(text, style="bold")


_LOOKS: Mapping[Verdict, str] = {
    "slower": "bold red",
    "faster": "bold green",
    "noise": "dim",
    "too few": "dim",
}


def _ratios(comparison: Comparison) -> Table:
    ratios = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for heading in ("Problem", "Solver"):
        ratios.add_column(heading)
    for heading in ("Pairs", "Instances", "Ratio", "Interval", "Repeats"):
        ratios.add_column(heading, justify="right")
    ratios.add_column("Verdict")
    for one in comparison.ratios:
        range_text = "–"
        if one.low is not None and one.high is not None:
            range_text = f"{one.low:.3g} to {one.high:.3g}"
        ratios.add_row(
            Text(f"{one.problem}, {one.objective}"),
            Text(one.solver),
            str(one.pairs),
            str(one.instances),
            "–" if one.ratio is None else f"{one.ratio:.3g}",
            range_text,
            "–" if one.spread is None else f"x {one.spread:.3g}",
            Text(f"{one.verdict}: {one.reason}", style=_LOOKS[one.verdict]),
        )
    return ratios


def _changes(title: str, changes: Sequence[RunChange], colour: str) -> list[RenderableType]:
    lines = [
        f"{one.key}: {one.before} -> {one.after}" + (f" ({one.message})" if one.message else "")
        for one in changes
    ]
    return _listed(title, lines, f"bold {colour}")


def _listed(title: str, lines: Sequence[str], style: str = "bold") -> list[RenderableType]:
    if not lines:
        return []
    parts: list[RenderableType] = [Text(f"{title}: {len(lines)}", style=style)]
    parts += [Text(f"  {line}") for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        parts.append(Text(f"  ... and {len(lines) - _MOST_LINES} more: see --json", style="dim"))
    return parts
