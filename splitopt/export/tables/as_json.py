"""``json``: all tables of a plan in one file, with key, unit and kind of every column."""

from __future__ import annotations

import json

from splitopt.export.plan_job import PlanJob
from splitopt.export.tables.content import tables_of
from splitopt.plans import plan_digest

FORMAT = "splitopt-tables"
VERSION = 1


def files(job: PlanJob) -> dict[str, bytes]:
    """Return the files of the folder, by name."""
    tables = {
        table.name: {
            "columns": [
                {"key": c.key, "heading": c.heading, "unit": c.unit, "kind": c.kind}
                for c in table.columns
            ],
            "rows": [dict(row) for row in table.rows],
        }
        for table in tables_of(job)
    }
    document = {
        "format": FORMAT,
        "version": VERSION,
        "plan": plan_digest(job.plan),
        "tables": tables,
    }
    return {"tables.json": (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()}
