"""The cut of all devices and their shares in `CommonCut` plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.planning.differing.rows import ALL, Rows, cut_of, shares_of


def rows(prediction: Mapping[str, Any]) -> Rows:
    """Return what a prediction (plain data) says of the decision."""
    found: Rows = {ALL: {"cut": cut_of(prediction)}}
    return found | {row["name"]: shares_of(row) for row in prediction["devices"]}
