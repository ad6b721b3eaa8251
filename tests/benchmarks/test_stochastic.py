"""The measurements of re-planning and of cheap rounds run and give their tables."""

from __future__ import annotations

from benchmarks.stochastic.__main__ import cheap_rounds, replanning


def test_the_tables_have_their_columns():
    """A small run of each; the numbers themselves depend on the machine."""
    rows = replanning(10, 3)
    assert [row.split("|")[2].strip() for row in rows] == ["300", "1,000", "3,000"]
    assert all(row.count("|") == 7 for row in rows)
    cells = [cell.strip() for cell in cheap_rounds(10, 1).split("|")[1:-1]]
    assert cells[:2] == ["10", "2"]
    assert all(float(cell) > 0 for cell in cells[2:])
