"""Cuts, further choices and shares of `CutAndResources` plans, by device or by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.planning.differing.rows import Row, Rows, cut_of, shares_of


def rows(prediction: Mapping[str, Any]) -> Rows:
    """Return what a prediction (plain data) says of the decision."""
    groups = prediction.get("groups")
    if groups is not None:
        return _by_group(groups["rows"])
    found: Rows = {}
    for row in prediction["devices"]:
        own: Row = {"cut": cut_of(row)}
        for name in ("server", "bits_up", "bits_down", "adapter_rank"):
            if name in row:
                own[name] = row[name]
        for name in ("clock", "transmit_power_w"):
            if name in row:
                own[name] = f"{row[name]:g}"
        if row.get("left_out"):
            own["left_out"] = "yes"
        found[row["name"]] = {**own, **shares_of(row), "round_s": row["round_s"]}
    return found


def _by_group(rows: list[Mapping[str, Any]]) -> Rows:
    """Return what the groups have: their cuts with the devices of each, or one cut and shares."""
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        parts.setdefault(row["group"], []).append(row)
    found: Rows = {}
    for name, own in parts.items():
        if len(own) == 1:
            found[name] = {"cut": cut_of(own[0]), **shares_of(own[0]), "round_s": own[0]["round_s"]}
        else:
            cuts = ", ".join(f"{row['devices']:,} at {cut_of(row)}" for row in own)
            found[name] = {"cut": cuts, "round_s": max(row["round_s"] for row in own)}
    return found
