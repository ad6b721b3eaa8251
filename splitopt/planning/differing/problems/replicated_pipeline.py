"""The stages of `ReplicatedPipeline` plans: the layers and the stage of every machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.planning.differing.rows import Rows


def rows(prediction: Mapping[str, Any]) -> Rows:
    """Return what a prediction (plain data) says of the decision."""
    found: Rows = {}
    for number, stage in enumerate(prediction["stages"], 1):
        layers = stage["layers"]
        ends = layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"
        own = {
            "stage": str(number),
            "layers": f"{len(layers)} ({ends})",
            "recompute": "yes" if stage["recompute"] else "no",
        }
        for row in stage["replicas"]:
            found |= dict.fromkeys(row["machines"], own)
    return found | {name: {"stage": "none", "layers": "none"} for name in prediction["idle"]}
