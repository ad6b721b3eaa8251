"""The tables of a benchmark report: one line per solver, and why runs were skipped or failed."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from splitopt.bench.reporting.groups import Group, Run, checked_value, finite
from splitopt.report.content import Column, Table
from splitopt.report.numbers import plain, seconds
from splitopt.results import OPTIMAL_GAP

LAST = 1e300
"""What a number that does not exist is sorted by."""

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
    ratio: float | None
    crashed: int
    timeout: int
    memory: int
    false_claims: int
    skipped: int

    @property
    def failed(self) -> int:
        """Runs that crashed, were stopped by the runner, or made a false claim."""
        return self.crashed + self.timeout + self.memory + self.false_claims


COLUMNS = (
    Column(
        "solver", "Solver", text=True, meaning="name, with the options in which its runs differ"
    ),
    Column("runs", "Runs", meaning="runs that were started"),
    Column("proved", "Proved", meaning="ended with a proof: optimal, or that there is no answer"),
    Column("feasible", "Feasible", meaning="ended with a checked answer and without a proof"),
    Column("unanswered", "No answer", meaning="ended by itself without an answer"),
    Column("within", "Solved", meaning="reached the best known value within the tolerance"),
    Column(
        "wins", "Wins", meaning="instances on which it was the fastest of those that solved them"
    ),
    Column(
        "worst_gap", "Worst gap %", meaning="largest gap to the best known value of its answers"
    ),
    Column(
        "mean_gap",
        "Mean gap %",
        meaning="geometric mean of these gaps, each taken as at least 1e-7 %",
    ),
    Column(
        "time_s",
        "Time (s)",
        meaning="shifted geometric mean (shift 1 s) of the time to solve; "
        "unsolved is the time limit",
    ),
    Column(
        "ratio",
        "x back end",
        meaning="geometric mean of its time over that of the fastest of SCIP, HiGHS, Gurobi and "
        "CP-SAT, on the instances that both solved; below 1 it is faster",
    ),
    Column("crashed", "Crashed", meaning="the process broke down"),
    Column("timeout", "Timeout", meaning="did not stop at its time limit and was stopped"),
    Column("memory", "Memory", meaning="took more than its memory limit and was stopped"),
    Column(
        "false_claims",
        "Lied",
        meaning="reported an objective, a feasibility or a bound that is not true",
    ),
    Column("skipped", "Skipped", meaning="was not started; the reasons are below"),
)

BACK_ENDS = ("scip", "highs", "gurobi", "cp_sat")
"""The solvers of other people, each on splitopt's model, that times are held against."""

_OPTIONAL = ("ratio", "crashed", "timeout", "memory", "false_claims", "skipped")


def shown_columns(lines: Sequence[SolverLine]) -> tuple[Column, ...]:
    """Remove the columns of failures that no solver had, and of back ends if none ran."""
    return tuple(
        column
        for column in COLUMNS
        if column.key not in _OPTIONAL or any(getattr(line, column.key) for line in lines)
    )


def solver_lines(group: Group) -> tuple[SolverLine, ...]:
    """Count what each solver of a group did, in the order of most solved, then the fastest."""
    wins = count_wins(group)
    lines = [_line(group, solver, wins[solver]) for solver in group.solvers]
    return tuple(sorted(lines, key=lambda line: (-line.within, _last(line.time_s), line.solver)))


def _last(number: float | None) -> float:
    return math.inf if number is None else number


def ratio_to_back_ends(group: Group, solver: str) -> float | None:
    """Compute the geometric mean of a solver's times over those of the fastest back end.

    It is over the instances that both solved; None without any, or where no back end ran.
    """
    labels = {run.solver for run in group.runs if run.row.solver in BACK_ENDS}
    ratios = []
    for instance in group.instances:
        own = group.time_s(solver, instance)
        fastest = min((group.time_s(one, instance) for one in labels), default=math.inf)
        if math.isfinite(own) and math.isfinite(fastest) and own > 0 and fastest > 0:
            ratios.append(own / fastest)
    return geometric_mean(ratios)


def _line(group: Group, solver: str, wins: int) -> SolverLine:
    runs = [run for run in group.runs if run.solver == solver]
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
        ratio=ratio_to_back_ends(group, solver),
        crashed=statuses["crashed"],
        timeout=statuses["timeout"],
        memory=statuses["memory"],
        false_claims=statuses["lied"],
        skipped=statuses["skipped"],
    )


def count_wins(group: Group) -> Counter[str]:
    """Count the instances on which each solver was the fastest; a tie is a win for each."""
    wins: Counter[str] = Counter()
    for instance in group.instances:
        times = {solver: group.time_s(solver, instance) for solver in group.started}
        fastest = min(times.values())
        if math.isfinite(fastest):
            wins.update(solver for solver, time in times.items() if time == fastest)
    return wins


def penalised_time(run: Run) -> float | None:
    """Return a run's time to solve in s: the time limit where it did not solve, None if neither."""
    return finite(run.time_s if math.isfinite(run.time_s) else run.row.time_limit_s)


def geometric_mean(values: Sequence[float]) -> float | None:
    """Compute the geometric mean of positive numbers; None of none."""
    if not values:
        return None
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def shifted_geometric_mean(values: Sequence[float], shift: float = SHIFT_S) -> float | None:
    r"""Compute :math:`(\prod_i (t_i + s))^{1/n} - s`.

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
    return seconds(value) if key in ("time_s", "ratio") else str(value)


def solver_table(lines: Sequence[SolverLine]) -> Table:
    """Return a line per solver; what does not exist is sorted last."""
    columns = shown_columns(lines)
    order = {
        column.key: [_order(getattr(line, column.key)) for line in lines]
        for column in columns
        if not column.text
    }
    rows = tuple({column.key: write_cell(line, column.key) for column in columns} for line in lines)
    return Table("Solvers", "One line per solver", columns, rows, things="solvers", order=order)


def _order(value: float | None) -> float:
    return LAST if value is None else value


def reason_table(found: Sequence[Reason]) -> Table:
    """Return why runs were skipped or failed."""
    columns = (
        Column("solver", "Solver", text=True),
        Column("status", "Status", text=True),
        Column("runs", "Runs", text=True),
        Column("message", "Reason", text=True),
    )
    rows = tuple(
        {
            "solver": reason.solver,
            "status": reason.status,
            "runs": str(reason.runs),
            "message": reason.message,
        }
        for reason in found
    )
    heading = "Why runs were skipped or failed"
    return Table(heading, "The first message of each kind", columns, rows, things="reasons")


def numbers_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    text_columns: int = 1,
    order: Mapping[int, Sequence[float]] | None = None,
) -> Table:
    """Return the numbers behind a chart: solvers in the first column, keys by their place.

    `order` maps the place of a column to the numbers to sort by.
    """
    columns = tuple(
        Column(str(place), heading, text=place < text_columns)
        for place, heading in enumerate(headings)
    )
    cells = tuple({str(place): cell for place, cell in enumerate(row)} for row in rows)
    by = {str(place): numbers for place, numbers in (order or {}).items()}
    return Table("The numbers", "The numbers behind the chart", columns, cells, order=by)
