"""Best known values of instances, and the table that holds them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from splitopt.documents.csv_tables import number, read_table
from splitopt.errors import InputError, shown

COLUMNS = (
    "problem",
    "objective",
    "instance",
    "value",
    "bound",
    "certificate",
    "status",
    "command",
)


@dataclass(frozen=True)
class BestKnown:
    """The best known value of an instance under an objective.

    ``status`` is ``"proved"`` (the bound meets the value to 1e-9, or the instance has no answer:
    then both are None) or ``"open"``. ``certificate`` says what proves it, ``command`` makes it.
    """

    problem: str
    objective: str
    instance: str
    value: float | None
    bound: float | None
    certificate: str
    status: str
    command: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is about: problem, objective and instance."""
        return self.problem, self.objective, self.instance


def read_best_known(path: Path) -> dict[tuple[str, str, str], BestKnown]:
    """Read the table of best known values."""
    table = read_table(path)
    if table.columns != COLUMNS:
        raise InputError(f"{path}: the columns must be {', '.join(COLUMNS)}")
    found: dict[tuple[str, str, str], BestKnown] = {}
    for line in table.rows:
        row = dict(zip(COLUMNS, line.cells, strict=True))
        if row["status"] not in ("proved", "open"):
            raise InputError.at(
                table.place(line, "status"), f"is {shown(row['status'])}, not 'proved' or 'open'"
            )
        numbers = {
            name: number(row[name], table.place(line, name)) if row[name] else None
            for name in ("value", "bound")
        }
        known = BestKnown(**{**row, **numbers})  # type: ignore[arg-type]
        if known.key in found:
            raise InputError(f"{path}: line {line.line}: {', '.join(known.key)} stands twice")
        found[known.key] = known
    return found


def write_best_known(rows: list[BestKnown]) -> str:
    """Return the table as CSV text that `read_best_known` reads back, numbers in full."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = [getattr(row, column) for column in COLUMNS]
        writer.writerow([repr(cell) if isinstance(cell, float) else cell for cell in cells])
    return stream.getvalue()
