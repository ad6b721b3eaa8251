"""Who received what in a training with a fed server, as a table."""

from __future__ import annotations

from splitopt.report.content import Column, Table
from splitopt.training.history import History
from splitopt.units import readable_bytes

_PARTIES = {"server": "main server", "fed": "fed server", "devices": "all devices"}
_KINDS = {
    "smashed": "smashed data",
    "label": "labels",
    "test_smashed": "smashed test data",
    "model": "client parts of the model",
    "masked": "masked client parts of the model",
    "secure": "keys and shares",
    "statistics": "running statistics",
    "gradient": "gradients of smashed data",
}
"""Kind of what is received -> what people call it."""


def received_tables(history: History) -> list[Table]:
    """Return a table of what each party received; none where there is no fed server."""
    rows = tuple(
        {"party": _PARTIES[party], "kind": _KINDS[kind], "all": readable_bytes(size)}
        for party, kinds in history.received_bytes().items()
        if party in _PARTIES
        for kind, size in kinds.items()
        if kind in _KINDS
    )
    if not rows:
        return []
    columns = (
        Column("party", "Party", text=True),
        Column("kind", "What", text=True),
        Column("all", "All rounds"),
    )
    caption = "Bytes that each party received; what is not named it never got"
    return [Table("Received", caption, columns, rows, things="kinds")]
