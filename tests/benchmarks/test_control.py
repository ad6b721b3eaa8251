"""The benchmark of following: its cases on small fleets, and what the committed results say."""

from __future__ import annotations

import csv

from benchmarks.control.__main__ import REGRET, REPLANS, RESULTS
from benchmarks.control.case import regret, replans
from benchmarks.control.fleets import EVENTS


def test_a_row_for_every_event():
    """Small fleets have all columns, and gaps within the goal."""
    rows = replans(12, "sum", 2)
    assert [row["event"] for row in rows] == list(EVENTS)
    assert all(set(REPLANS) <= set(row) for row in rows)
    assert all(row["gap"] <= 5e-4 for row in rows)


def test_a_row_for_every_policy():
    """The clairvoyant has no regret and nobody has less."""
    rows = regret(3, 3, "sum", 0)
    assert [row["policy"] for row in rows] == ["controller", "clairvoyant", "static", "periodic"]
    assert all(set(REGRET) <= set(row) for row in rows)
    assert rows[1]["regret"] == 0
    assert all(row["regret"] >= -1e-3 for row in rows)


def test_committed_gaps_are_within_the_goal():
    """Every re-plan without damping is within 0.05 % of the bound."""
    with (RESULTS / "replans.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["devices"] for row in rows} == {"1000", "100000"}
    assert all(float(row["gap"]) <= 5e-4 for row in rows)
