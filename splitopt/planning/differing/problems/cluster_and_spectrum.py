"""Who works with whom, and on how many subcarriers, in `ClusterAndSpectrum` plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.planning.differing.rows import Rows


def rows(prediction: Mapping[str, Any]) -> Rows:
    """Return what a prediction (plain data) says of the decision."""
    members = [set(cluster["devices"]) for cluster in prediction["clusters"]]
    return {
        row["name"]: {
            "works_with": ", ".join(sorted(members[row["cluster"]] - {row["name"]})) or "nobody",
            "subcarriers": row["subcarriers"],
        }
        for row in prediction["devices"]
    }
