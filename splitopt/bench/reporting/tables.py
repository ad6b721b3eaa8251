"""The tables of a benchmark report: one line per solver, and why runs were skipped or failed."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from splitopt.bench.reporting.groups import Group, Run, checked_value, finite
from splitopt.report.numbers import plain, seconds
from splitopt.results import OPTIMAL_GAP

SHIFT_S = 1.0
"""Shift of the mean time: differences far below it hardly count."""

_NUMBER = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True)
class SolverLine:
    """What one solver did in one group.

    All but ``wins`` are about runs; ``wins`` counts instances. A number that does not exist is
    None.
    """

    solver: str
    runs: int
    proved: int
    feasible: int
    unanswered: int
    within: int
    wins: int
    worst_gap: float | None
    mean_gap: float | None
    time_s: float | None
    crashed: int
    timeout: int
    memory: int
    lied: int
    skipped: int

    @property
    def failed(self) -> int:
        """Runs that crashed, were stopped by the runner, or lied."""
        return self.crashed + self.timeout + self.memory + self.lied


@dataclass(frozen=True)
class Column:
    """A column of a table: key of the value, heading, and what it means in a sentence."""

    key: str
    heading: str
    meaning: str


COLUMNS = (
    Column("solver", "Solver", "name, with the options in which its runs differ"),
    Column("runs", "Runs", "runs that were started"),
    Column("proved", "Proved", "ended with a proof: optimal, or that there is no answer"),
    Column("feasible", "Feasible", "ended with a checked answer and without a proof"),
    Column("unanswered", "No answer", "ended by itself without an answer"),
    Column("within", "Solved", "reached the best known value within the tolerance"),
    Column("wins", "Wins", "instances on which it was the fastest of those that solved them"),
    Column("worst_gap", "Worst gap %", "largest gap to the best known value of its answers"),
    Column("mean_gap", "Mean gap %", "geometric mean of these gaps, each taken as at least 1e-7 %"),
    Column(
        "time_s",
        "Time (s)",
        "shifted geometric mean (shift 1 s) of the time to solve; unsolved is the time limit",
    ),
    Column("crashed", "Crashed", "the process broke down"),
    Column("timeout", "Timeout", "did not stop at its time limit and was stopped"),
    Column("memory", "Memory", "took more than its memory limit and was stopped"),
    Column("lied", "Lied", "reported an objective, a feasibility or a bound that is not true"),
    Column("skipped", "Skipped", "was not started; the reasons are below"),
)

_FAILURES = ("crashed", "timeout", "memory", "lied", "skipped")


def shown_columns(lines: Sequence[SolverLine]) -> tuple[Column, ...]:
    """Leave out the columns of failures that no solver had."""
    return tuple(
        column
        for column in COLUMNS
        if column.key not in _FAILURES or any(getattr(line, column.key) for line in lines)
    )


def solver_lines(group: Group) -> tuple[SolverLine, ...]:
    """Count what each solver of a group did, in the order of most solved, then the fastest."""
    wins = count_wins(group)
    lines = [
        _line(solver, [run for run in group.runs if run.solver == solver], wins[solver])
        for solver in group.solvers
    ]
    return tuple(sorted(lines, key=lambda line: (-line.within, _last(line.time_s), line.solver)))


def _last(number: float | None) -> float:
    return math.inf if number is None else number


def _line(solver: str, runs: Sequence[Run], wins: int) -> SolverLine:
    ran = [run for run in runs if run.ran]
    ended = [run for run in ran if run.row.status == "ok"]
    proved = sum(run.proved for run in ended)
    answered = [run for run in ended if checked_value(run.row) is not None]
    feasible = sum(not run.proved for run in answered)
    gaps = [run.gap for run in answered if math.isfinite(run.gap)]
    statuses = Counter(run.row.status for run in runs)
    return SolverLine(
        solver=solver,
        runs=len(ran),
        proved=proved,
        feasible=feasible,
        unanswered=len(ended) - proved - feasible,
        within=sum(run.within for run in ran),
        wins=wins,
        worst_gap=max(gaps, default=None),
        mean_gap=geometric_mean([max(one, OPTIMAL_GAP) for one in gaps]),
        time_s=shifted_geometric_mean(
            [time for run in ran if (time := penalised_time(run)) is not None]
        ),
        crashed=statuses["crashed"],
        timeout=statuses["timeout"],
        memory=statuses["memory"],
        lied=statuses["lied"],
        skipped=statuses["skipped"],
    )


def count_wins(group: Group) -> Counter[str]:
    """Count the instances on which each solver was the fastest; a tie is a win for each."""
    wins: Counter[str] = Counter()
    for instance in group.instances:
        times = {solver: group.time_s(solver, instance) for solver in group.racers}
        fastest = min(times.values())
        if math.isfinite(fastest):
            wins.update(solver for solver, time in times.items() if time == fastest)
    return wins


def penalised_time(run: Run) -> float | None:
    """Give a run's time to solve in s: the time limit where it did not solve, None if neither."""
    return finite(run.time_s if math.isfinite(run.time_s) else run.row.time_limit_s)


def geometric_mean(values: Sequence[float]) -> float | None:
    """Give the geometric mean of positive numbers; None of none."""
    if not values:
        return None
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def shifted_geometric_mean(values: Sequence[float], shift: float = SHIFT_S) -> float | None:
    r"""Give :math:`(\prod_i (t_i + s))^{1/n} - s`.

    Achterberg (2007), "Constraint Integer Programming", thesis, TU Berlin. Unlike the
    geometric mean it does not let the shortest times decide, unlike the arithmetic one not the
    longest.

    Parameters
    ----------
    values
        Numbers >= 0 in the unit of `shift`.
    shift
        The shift s > 0.
    """
    mean = geometric_mean([value + shift for value in values])
    return None if mean is None else max(0.0, mean - shift)


@dataclass(frozen=True)
class Reason:
    """Why runs of a solver were skipped or failed: status, the first such message, how often."""

    solver: str
    status: str
    message: str
    runs: int


def reasons(group: Group) -> tuple[Reason, ...]:
    """List why runs were skipped or failed; messages that differ in their numbers count as one."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for run in group.runs:
        if run.row.status != "ok":
            message = run.row.message or "no message"
            found[run.solver, run.row.status, _NUMBER.sub("0", message)].append(message)
    return tuple(
        Reason(solver, status, messages[0], len(messages))
        for (solver, status, _), messages in sorted(found.items())
    )


def write_cell(line: SolverLine, key: str) -> str:
    """Write one value of a line for people; a number that does not exist is a dash."""
    value = getattr(line, key)
    if value is None:
        return "–"
    if key in ("worst_gap", "mean_gap"):
        floored = value <= 1.001 * OPTIMAL_GAP  # the mean of floored gaps is rounded
        return f"≤{plain(100 * OPTIMAL_GAP)}" if floored else f"{100 * value:.2g}"
    return seconds(value) if key == "time_s" else str(value)
