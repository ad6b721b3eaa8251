"""Rows held against each other and against the best known values of their instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from splitopt.bench.checking.claims import above
from splitopt.bench.instances.best_known import BestKnown
from splitopt.bench.rows import Row
from splitopt.results import relative_gap

Table = Mapping[tuple[str, str, str], BestKnown]
"""Problem, objective and instance -> the best known value."""


def settle(rows: Iterable[Row], table: Table) -> list[Row]:
    """Check all rows against each other and the best known values.

    A bound above a value that any checked decision reached is a false claim, whichever run came
    first, and so is "infeasible" where there is an answer. The best known value of an instance is
    the better one of the table's and of what these rows reached. Rows come back sorted by their
    keys; settling settled rows changes nothing.
    """
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        place = (row.problem, row.objective, row.instance, row.instance_digest)
        groups.setdefault(place, []).append(row)
    settled = []
    for place, members in groups.items():
        settled += _settle_instance(members, table.get(place[:3]))
    return sorted(settled, key=lambda row: row.key)


def _settle_instance(rows: Sequence[Row], known: BestKnown | None) -> list[Row]:
    values = [row.value for row in rows if row.value is not None]
    reached = min(values, default=None)
    tabled = None if known is None else known.value
    best = min((value for value in (reached, tabled) if value is not None), default=None)
    proved_above = (
        known is not None
        and known.status == "proved"
        and reached is not None
        and (tabled is None or above(tabled, reached))
    )
    found = []
    for row in rows:
        message, status = row.message, row.status
        if best is not None and status == "ok" and row.bound is not None and above(row.bound, best):
            status = "lied"
            message = f"its bound {row.bound!r} is above {best!r}, which is reached"
        elif best is not None and status == "ok" and row.outcome == "infeasible":
            status = "lied"
            message = f"says that there is no answer, but the value {best!r} is reached"
        elif proved_above and status == "ok" and row.value == reached:
            message = f"is better than the table's proved value {tabled!r}: the table is wrong"
        gap = None
        if row.value is not None and best is not None:
            gap = max(0.0, relative_gap(row.value, best))
        found.append(
            replace(row, status=status, message=message, best_known=best, gap_to_best_known=gap)
        )
    return found
