"""The measurements of re-planning and of sampled rounds run and give their tables."""

from __future__ import annotations

from benchmarks.stochastic.__main__ import replanning, throughput


def test_the_tables_have_their_columns():
    """A small run of each; the numbers themselves depend on the machine."""
    rows = replanning(10, 3)
    assert [row.split("|")[2].strip() for row in rows] == ["300", "1,000", "3,000"]
    assert all(row.count("|") == 7 for row in rows)
    assert throughput(10, 50, 1).count("|") == 7
