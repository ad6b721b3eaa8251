"""The best scheme over two fields of a scenario at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from splitopt.errors import InputError
from splitopt.planning.comparison.comparing import compare_schemes
from splitopt.planning.comparison.rows import Comparison, tied
from splitopt.planning.comparison.sweeping import with_field
from splitopt.scenario import Scenario


@dataclass(frozen=True)
class Grid:
    """A comparison for each pair of values: rows are the first field's, columns the second's."""

    fields: tuple[str, str]
    values: tuple[tuple[Any, ...], tuple[Any, ...]]
    comparisons: tuple[tuple[Comparison, ...], ...]

    @property
    def best(self) -> tuple[tuple[str | None, ...], ...]:
        """The best scheme of each pair, None where none is feasible."""
        return tuple(
            tuple(c.feasible[0].scheme if c.feasible else None for c in row)
            for row in self.comparisons
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "fields": list(self.fields),
            "points": [
                {
                    "values": [one, other],
                    "best": comparison.feasible[0].scheme if comparison.feasible else None,
                    "ties": [row.scheme for row in tied(comparison.feasible)]
                    if comparison.feasible
                    else [],
                    "comparison": comparison.to_dict(),
                }
                for one, row in zip(self.values[0], self.comparisons, strict=True)
                for other, comparison in zip(self.values[1], row, strict=True)
            ],
        }


def sweep_grid(
    scenario: Scenario,
    first: tuple[str, Sequence[Any]],
    second: tuple[str, Sequence[Any]],
    **options: Any,
) -> Grid:
    """Compare all schemes for each pair of values of two fields.

    Parameters
    ----------
    scenario
        Where all else comes from.
    first, second
        A field and its values, as for `splitopt.planning.comparison.sweeping.sweep_field`.
    **options
        As for `compare_schemes`.

    Raises
    ------
    InputError
        Both fields are the same, there is no such field, or a value does not fit there.
    """
    (one, rows), (other, columns) = first, second
    if one == other:
        raise InputError(f"--sweep {one}: is given twice; put all of its values into one")
    changed = [[with_field(with_field(scenario, one, a), other, b) for b in columns] for a in rows]
    return Grid(
        (one, other),
        (tuple(rows), tuple(columns)),
        tuple(tuple(compare_schemes(s, **options) for s in row) for row in changed),
    )
