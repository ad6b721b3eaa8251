"""The benchmark of the sliders: what the committed results say."""

from __future__ import annotations

import csv

from benchmarks.page.__main__ import COLUMNS, RESULTS


def test_no_committed_floor_is_above_an_optimum():
    """No change of any fleet was claimed to be better than it is, and few gaps are left."""
    with (RESULTS / "changes.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["objective"] for row in rows} == {"sum", "makespan"}
    assert all(set(COLUMNS) <= set(row) for row in rows)
    assert all(int(row["false"]) == 0 for row in rows)
    assert sum(int(row["proved"]) for row in rows) >= 0.9 * sum(int(r["changes"]) for r in rows)
