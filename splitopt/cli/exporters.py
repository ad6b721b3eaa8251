"""``splitopt exporters``: the formats of exports, what each writes and needs, and which can run."""

from __future__ import annotations

from dataclasses import asdict

from splitopt.cli import options as shared
from splitopt.export.registry import listed_exporters


def command(as_json: shared.AsJson = False) -> int:
    """List every format of 'splitopt export' with what it writes, needs, and whether it runs here.

    Example: splitopt exporters
    """
    rows = listed_exporters()
    if as_json:
        shared.print_json([asdict(row) for row in rows])
        return 0
    headings = ("Format", "Writes", "Needs", "From", "Ready")
    texts = [(row.name, row.writes, ", ".join(row.needs), row.source, row.ready) for row in rows]
    shared.console().print(shared.table(headings, texts, unbroken=headings[:1]), highlight=False)
    return 0
