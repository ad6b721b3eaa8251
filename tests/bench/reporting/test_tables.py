"""The tables of reports: counts and means by hand."""

from __future__ import annotations

import pytest

from splitopt.bench.reporting.groups import group_rows
from splitopt.bench.reporting.tables import (
    reasons,
    shifted_geometric_mean,
    shown_columns,
    solver_lines,
    write_cell,
)


def lines_of(rows, **options):
    (group,) = group_rows(rows, **options)
    return {line.solver: line for line in solver_lines(group)}


def test_every_run_is_counted_once(make_row):
    """The counts of a solver with one run of each kind are all one and add up."""
    failed = {"value": None, "outcome": None, "stop_reason": None, "total_s": None}
    rows = [
        make_row(instance="a", outcome="optimal"),
        make_row(instance="b", outcome="feasible"),
        make_row(instance="c", outcome="no_solution", value=None),
        *(
            make_row(instance=status, status=status, **failed)
            for status in ("crashed", "timeout", "memory", "lied", "skipped")
        ),
    ]
    line = lines_of(rows)["exact"]
    assert (line.proved, line.feasible, line.unanswered) == (1, 1, 1)
    assert (line.crashed, line.timeout, line.memory, line.false_claims, line.skipped) == (
        1,
        1,
        1,
        1,
        1,
    )
    assert line.runs == 7
    assert line.within == 2


def test_proved_infeasible_is_proved_and_solved(make_row):
    """The right answer to an infeasible instance is a proof, and the fastest one wins."""
    claim = {"value": None, "outcome": "infeasible"}
    rows = [make_row(total_s=2.0, **claim), make_row(solver="prices", total_s=1.0, **claim)]
    lines = lines_of(rows)
    assert [lines[name].proved for name in ("exact", "prices")] == [1, 1]
    assert [lines[name].wins for name in ("exact", "prices")] == [0, 1]


def test_wins_go_to_the_fastest_within_tolerance(make_row):
    """A faster run that misses the best value does not win; a tie is a win for each."""
    rows = [
        make_row(total_s=2.0, value=100.0),
        make_row(solver="quick", total_s=0.1, value=101.0),
        make_row(instance="two", total_s=1.0),
        make_row(instance="two", solver="quick", total_s=1.0),
    ]
    lines = lines_of(rows)
    assert (lines["exact"].wins, lines["quick"].wins) == (2, 1)
    assert lines_of(rows, tolerance=0.1)["quick"].wins == 2


def test_gaps_and_times_by_hand(make_row):
    """Gaps 0.2 and 0.05 have the geometric mean 0.1; times 1 and 60 that of 2 and 61 less 1."""
    rows = [
        make_row(value=125.0, best_known=100.0, total_s=3.0),
        make_row(instance="two", value=100.0, best_known=95.0, total_s=3.0),
        make_row(instance="three", solver="exact2", total_s=1.0),
        make_row(instance="four", solver="exact2", value=125.0, best_known=100.0, total_s=3.0),
    ]
    lines = lines_of(rows)
    assert lines["exact"].worst_gap == pytest.approx(0.2)
    assert lines["exact"].mean_gap == pytest.approx(0.1)
    assert lines["exact"].time_s == pytest.approx(60.0)
    assert lines["exact2"].time_s == pytest.approx((2 * 61) ** 0.5 - 1)


def test_shifted_geometric_mean():
    """With shift 1, of 0 and 3 it is 1; of nothing it is nothing."""
    assert shifted_geometric_mean([0.0, 3.0], 1.0) == pytest.approx(1.0)
    assert shifted_geometric_mean([], 1.0) is None


def test_solver_with_skips_only_has_dashes(make_row):
    """What cannot be known is a dash, and the columns of other failures are left out."""
    rows = [make_row(status="skipped", value=None, total_s=None, message="needs a licence")]
    line = lines_of(rows)["exact"]
    assert line.runs == 0
    shown = {column.key: write_cell(line, column.key) for column in shown_columns([line])}
    assert {shown[key] for key in ("worst_gap", "mean_gap", "time_s")} == {"–"}
    assert shown["skipped"] == "1"
    assert "crashed" not in shown


def test_reasons_join_messages_that_differ_in_numbers(make_row):
    """Memory messages with different numbers are one reason, other messages stay apart."""
    rows = [
        make_row(instance="a", status="memory", message="used 5,000 MiB", value=None),
        make_row(instance="b", status="memory", message="used 6,123.5 MiB", value=None),
        make_row(instance="c", status="skipped", message="no licence", value=None),
        make_row(instance="d", status="crashed", message=None, value=None),
    ]
    (group,) = group_rows(rows)
    found = [(one.status, one.message, one.runs) for one in reasons(group)]
    assert found == [
        ("crashed", "no message", 1),
        ("memory", "used 5,000 MiB", 2),
        ("skipped", "no licence", 1),
    ]


def test_ratio_to_the_fastest_back_end_by_hand(make_row):
    """On two instances 1 s and 8 s against 2 s of SCIP and 4 s of CP-SAT: the mean of 1/2 and 2."""
    rows = [
        make_row(total_s=1.0),
        make_row(solver="scip", total_s=2.0),
        make_row(solver="cp_sat", total_s=3.0),
        make_row(instance="two", total_s=8.0),
        make_row(instance="two", solver="scip", value=125.0, best_known=100.0, total_s=1.0),
        make_row(instance="two", solver="cp_sat", total_s=4.0),
        make_row(instance="three", total_s=5.0),
    ]
    lines = lines_of(rows)
    assert lines["exact"].ratio == pytest.approx(1.0)
    assert lines["scip"].ratio == pytest.approx(1.0)
    assert lines["cp_sat"].ratio == pytest.approx(1.5**0.5)
    assert "ratio" in [column.key for column in shown_columns(tuple(lines.values()))]
    alone = lines_of([make_row(total_s=1.0)])
    assert alone["exact"].ratio is None
    assert "ratio" not in [column.key for column in shown_columns(tuple(alone.values()))]
