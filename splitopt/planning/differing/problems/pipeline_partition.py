"""The owners' cuts and the nodes' layers of `PipelinePartition` plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.planning.differing.rows import ALL, Rows


def rows(prediction: Mapping[str, Any]) -> Rows:
    """Return what a prediction (plain data) says of the decision."""
    cuts = f"{prediction['first_cut']} and {prediction['last_cut']}"
    found: Rows = {ALL: {"owners_cuts": cuts}}
    for row in prediction["nodes"]:
        one = row["first_layer"] == row["last_layer"]
        ends = row["first_layer"] if one else f"{row['first_layer']} to {row['last_layer']}"
        found[row["name"]] = {"layers": f"{row['layers']} ({ends})"}
    return found | {name: {"layers": "none"} for name in prediction["idle"]}
