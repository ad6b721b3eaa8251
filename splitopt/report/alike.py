"""Devices of a group that do the same, as one row and one bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from splitopt.plans import Plan

_SHARES = ("download_share", "upload_share", "server_share")
_SUMS = (*_SHARES, "energy_j")
_DIGITS = 9
"""Significant digits in which alike devices agree."""


def with_alike_rows(plan: Plan) -> Plan:
    """Return a plan in whose prediction the devices of a group that do the same are one row.

    Such a row has the number of its devices as ``devices``, their shares together, and the seconds
    of each. Plans of other problems, by group, or of single devices are returned as they are.
    """
    prediction = plan.prediction
    if plan.problem != "cut_and_resources" or prediction is None or not prediction["devices"]:
        return plan
    entries, rows = plan.scenario["devices"], list(prediction["devices"])
    if not isinstance(entries, list):
        return plan
    counts = [int(entry.get("count", 1)) for entry in entries]
    if sum(counts) != len(rows) or max(counts) == 1:
        return plan
    merged: list[Mapping[str, Any]] = []
    start = 0
    for entry, count in zip(entries, counts, strict=True):
        merged += _merged(entry["name"], rows[start : start + count])
        start += count
    return replace(plan, prediction={**prediction, "devices": merged})


def _merged(group: str, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of a group, alike ones as one."""
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(_rounded(row[key]) for key in row if key != "name"), []).append(row)
    if len(rows) == 1:
        return rows
    merged: list[Mapping[str, Any]] = []
    for alike in found.values():
        row, many = dict(alike[0]), len(alike)
        row["name"] = (
            row["name"]
            if many == 1
            else f"{group} ({many})"
            if many == len(rows)
            else f"{group} ({many} of {len(rows)})"
        )
        row["devices"] = many
        for key in _SUMS:
            if row.get(key) is not None:
                row[key] = _together(key, float(row[key]), many)
        merged.append(row)
    return merged


def _together(key: str, value: float, many: int) -> float:
    """Return what all have; 1 of a link that is each device's own stays 1."""
    return value if key in _SHARES and value == 1 else many * value


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
