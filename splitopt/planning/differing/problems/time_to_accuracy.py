"""Cuts, batch sizes and the interval of `TimeToAccuracy` plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.planning.differing.rows import ALL, Rows, cut_of


def rows(prediction: Mapping[str, Any]) -> Rows:
    """Return what a prediction (plain data) says of the decision."""
    found: Rows = {ALL: {"aggregation_interval": prediction["aggregation_interval"]}}
    for row in prediction["devices"]:
        found[row["name"]] = {"cut": cut_of(row), "batch_size": row["batch_size"]}
    return found
