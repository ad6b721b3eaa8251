"""Who works with whom, at which cut and on how many subcarriers, in `CutAndClusters` plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.planning.differing.problems import cluster_and_spectrum
from splitopt.planning.differing.rows import Rows


def rows(prediction: Mapping[str, Any]) -> Rows:
    """Return what a prediction (plain data) says of the decision."""
    found = cluster_and_spectrum.rows(prediction)
    for row in prediction["devices"]:
        found[row["name"]] |= {"cut": prediction["cuts"][row["cluster"]]}
    return found
