"""Spoiling CSV: cells, columns, rows, and cells that the reader's library refuses."""

from __future__ import annotations

import csv
import io
from random import Random

from benchmarks.fuzz.mutate.raw import spoil_bytes
from benchmarks.fuzz.mutate.values import NUMBERS, TEXTS

_LONG = 131_073
"""One more than the cell that Python's module reads."""


def spoil_table(content: bytes, rng: Random) -> bytes:
    """Change one cell, row or column."""
    try:
        rows = list(csv.reader(io.StringIO(content.decode())))
    except (UnicodeDecodeError, csv.Error):
        return spoil_bytes(content, rng)
    rows = [row for row in rows if row]
    if not rows:
        return spoil_bytes(content, rng)
    row = rng.choice(rows)
    column = rng.randrange(len(row))
    kind = rng.randrange(10)
    if kind < 3:
        number = rng.choice(NUMBERS)
        row[column] = str(getattr(number, "text", number))
    elif kind == 3:
        row[column] = rng.choice(TEXTS)
    elif kind == 4:
        rng.choice((rows[0], row))[0 if rng.random() < 0.3 else -1] = "9" * _LONG
    elif kind == 5:
        del row[column]
    elif kind == 6:
        row.insert(column, row[column])
    elif kind == 7:
        rows.insert(rng.randrange(len(rows) + 1), list(row))
    elif kind == 8:
        rows.remove(row)
    else:
        rows = [list(cells) for cells in zip(*rows, strict=False)] or [[""]]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", delimiter=rng.choice(",,,,,;\t"))
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8", "surrogatepass")
