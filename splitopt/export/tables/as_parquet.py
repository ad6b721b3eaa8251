"""``parquet``: every table of a plan as a Parquet file, with typed columns."""

from __future__ import annotations

import io
from typing import Any

from splitopt.export.plan_job import PlanJob
from splitopt.export.tables.content import Column, PlanTable, tables_of
from splitopt.plans import plan_digest


def files(job: PlanJob) -> dict[str, bytes]:
    """Return the files of the folder, by name."""
    named = plan_digest(job.plan)
    return {f"{table.name}.parquet": _parquet(table, named) for table in tables_of(job)}


def _parquet(table: PlanTable, named: str) -> bytes:
    import pyarrow
    import pyarrow.parquet

    fields, arrays = [], []
    for column in table.columns:
        values = [row.get(column.key) for row in table.rows]
        kind = _type(column, values)
        about = {"key": column.key, "unit": column.unit}
        fields.append(pyarrow.field(column.heading, kind, metadata=about))
        arrays.append(pyarrow.array(values, kind))
    schema = pyarrow.schema(fields, metadata={"splitopt-plan": named})
    written = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), written)
    return written.getvalue()


def _type(column: Column, values: list[Any]) -> Any:
    """Return the type of a column; whole numbers are int64 where they all fit."""
    import pyarrow

    if column.kind == "text":
        return pyarrow.string()
    whole = all(value is None or isinstance(value, int) for value in values)
    fit = whole and all(value is None or abs(value) < 2**63 for value in values)
    return pyarrow.int64() if fit else pyarrow.float64()
