"""From whom devices receive generators in `GeneratorPairing` plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.planning.differing.rows import Rows


def rows(prediction: Mapping[str, Any]) -> Rows:
    """Return what a prediction (plain data) says of the decision."""
    return {
        row["name"]: {"receives_from": ", ".join(sorted(row["senders"])) or "nobody"}
        for row in prediction["devices"]
    }
