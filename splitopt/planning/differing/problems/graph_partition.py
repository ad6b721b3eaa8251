"""The layers of every machine of `GraphPartition` plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.planning.differing.rows import Rows


def rows(prediction: Mapping[str, Any]) -> Rows:
    """Return what a prediction (plain data) says of the decision."""
    found: Rows = {
        row["name"]: {"layers": f"{len(row['layers'])} ({_ends(row['layers'])})"}
        for row in prediction["machines"]
    }
    return found | {name: {"layers": "none"} for name in prediction["idle"]}


def _ends(layers: list[str]) -> str:
    return ", ".join(layers) if len(layers) <= 4 else f"{layers[0]}, ..., {layers[-1]}"
