"""The limits of a plan against what it uses: memory of devices and server, leakage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitopt.plans import Plan
from splitopt.problems.memory import device_memory_bytes
from splitopt.profiles import ModelProfile
from splitopt.report.content import Column, Table
from splitopt.report.numbers import percent
from splitopt.report.plan_page.section import Section
from splitopt.scenario import Device, Scenario
from splitopt.units import readable_bytes

_COLUMNS = (
    Column("device", "Device", text=True),
    Column("cut", "Cut", text=True),
    Column("memory", "Memory used"),
    Column("of_memory", "of"),
    Column("full", "%"),
    Column("leakage", "Leakage"),
    Column("limit", "at most"),
)
_BUDGETS = (
    Column("name", "Limit", text=True),
    Column("used", "Used"),
    Column("limit", "of"),
    Column("full", "%"),
)


def limits(
    plan: Plan, scenario: Scenario, profile: ModelProfile, rows: Sequence[Mapping[str, Any]]
) -> Section | None:
    """Return the section, None where nothing is limited.

    Rows are those of the devices or groups of the prediction, in the order that the page has them.
    """
    assert plan.prediction is not None  # the caller saw to it
    found = []
    by_name = {device.name: device for device in scenario.devices} if rows else {}
    lines = [_row(row, by_name, scenario, profile) for row in rows]
    if any(line["of_memory"] or line["limit"] for line in lines):
        used = {key for line in lines for key, text in line.items() if text}
        found.append(
            Table(
                "Of each device",
                "What a device's part takes while it trains a mini-batch, and what its smashed "
                "data give away",
                tuple(column for column in _COLUMNS if column.key in used),
                tuple(lines),
                things="devices",
            )
        )
    if budgets := plan.prediction.get("budgets"):
        found.append(
            Table("Of all together", "", _BUDGETS, tuple(map(_budget, budgets)), things="limits")
        )
    if not found:
        return None
    texts = [f"{note[0].upper()}{note[1:]}." for note in plan.notes if "not checked" in note]
    return Section("limits", "Limits against what is used", tuple(texts), tables=tuple(found))


def _row(
    row: Mapping[str, Any],
    by_name: Mapping[str, Device],
    scenario: Scenario,
    profile: ModelProfile,
) -> dict[str, str]:
    device, cut = _entry(row, by_name), row["cut"]
    line = dict.fromkeys((column.key for column in _COLUMNS), "")
    many = row.get("devices", 1)
    name = row.get("name") or f"{row['group']} ({many:,})"
    line |= {"device": name, "cut": f"{cut} {row['cut_layer']}"}
    if device is None:
        return line
    need = device_memory_bytes(device, profile)
    if need is not None:
        line["memory"] = readable_bytes(float(need[cut - 1]))
        if device.memory is not None:
            line["of_memory"] = readable_bytes(device.memory)
            line["full"] = percent(float(need[cut - 1]) / device.memory)
    limit = scenario.privacy.leakage_limit
    limit = limit if device.leakage_limit is None else device.leakage_limit
    if profile.leakage is not None:
        line["leakage"] = f"{profile.leakage[cut - 1]:.3f}"
        line["limit"] = "" if limit is None else f"{limit:g}"
    return line


def _entry(row: Mapping[str, Any], by_name: Mapping[str, Device]) -> Device | None:
    """Return the entry of the scenario that a row is about: its name, or that of its group."""
    name = row.get("group") or row["name"]
    for one in (name, name.rpartition(" (")[0], name.rpartition("-")[0]):
        if one in by_name:
            return by_name[one]
    return None


def _budget(row: Mapping[str, Any]) -> dict[str, str]:
    unit = row.get("unit")
    written = [
        f"{row[key]:.6g} {unit}" if unit else readable_bytes(row[key]) for key in ("used", "limit")
    ]
    full = percent(row["used"] / row["limit"]) if row["limit"] else ""
    return {"name": row["name"].capitalize(), "used": written[0], "limit": written[1], "full": full}
