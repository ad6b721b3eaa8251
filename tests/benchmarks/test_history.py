"""The table of releases counts what the rows of a result file say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.history import __main__ as history
from splitopt.bench.rows.files import read_rows, write_rows

COMMITTED = Path(__file__).parents[2] / "benchmarks" / "results" / "full.jsonl"


@pytest.fixture(scope="module")
def rows():
    """Return the committed rows of one family under one objective."""
    found = [row for row in read_rows(COMMITTED) if row.objective == "makespan"]
    return [row for row in found if row.instance.startswith("bounded-devices10-")]


def test_counts_by_hand(rows):
    """Shares and the ratio of times, counted again from the rows themselves."""
    (found,) = history.release_rows(rows, "here")
    own = [row for row in rows if row.solver == "exact"]
    assert (found["solver"], found["runs"]) == ("exact", len(own))
    assert found["proved"] == sum(row.outcome == "optimal" for row in own) / len(own)
    assert found["solved"] == sum(row.gap_to_best_known <= 1e-6 for row in own) / len(own)
    assert found["revision"] == max(rows, key=lambda row: row.timestamp).git_revision[:10]


def test_a_second_call_replaces_its_own_rows_only(rows, tmp_path, capsys):
    """Nothing is counted twice, and another release stands beside it."""
    write_rows(tmp_path / "a.jsonl", rows)
    later = [
        replace(row, git_revision="f" * 40, timestamp="2027-01-02T00:00:00+00:00") for row in rows
    ]
    write_rows(tmp_path / "b.jsonl", later)
    for name in ("b", "a", "a"):
        call = [str(tmp_path / f"{name}.jsonl"), "--folder", str(tmp_path / "out")]
        assert history.main(call) == 0
    kept = history.kept(tmp_path / "out" / "history.csv")
    assert [row["date"] for row in kept] == [rows[0].timestamp[:10], "2027-01-02"]
    assert kept[0]["proved"] == kept[1]["proved"]
    text = (tmp_path / "out" / "history.md").read_text()
    assert text.count("`exact`") == 2
    assert "exact" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change", [{"splitopt_version": "0.0.9"}, {"suite": "paper"}, {"time_limit_s": 3.0}]
)
def test_what_is_no_one_release_is_refused(rows, tmp_path, capsys, change):
    """A file of two versions, suites or limits says nothing about either."""
    write_rows(tmp_path / "a.jsonl", [*rows[:-1], replace(rows[-1], **change)])
    assert history.main([str(tmp_path / "a.jsonl"), "--folder", str(tmp_path)]) == 2
    assert "must be of one" in capsys.readouterr().err
