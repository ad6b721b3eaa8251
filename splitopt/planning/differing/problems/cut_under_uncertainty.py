"""The cut of `CutUnderUncertainty` plans, which decide more for every sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.planning.differing.rows import ALL, Rows

TOLD_IN_FULL = False
"""Decisions hold more, such as clusters and subcarriers for every sample."""


def rows(prediction: Mapping[str, Any]) -> Rows:
    """Return what a prediction (plain data) says of the decision."""
    return {ALL: {"cut": prediction["cut"]}}
