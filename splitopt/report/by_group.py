"""Tables and bars of a plan by group: alike devices are one row, and no table is long."""

from __future__ import annotations

from typing import Any

from splitopt.report.content import Column, Figure, Table
from splitopt.report.longest import longest_devices
from splitopt.report.numbers import percent, seconds

MOST_ROWS = 40
"""Parts that a table shows."""
PHASES = ("download_s", "device_s", "upload_s", "server_s")
_TOGETHER = "of all these devices together; each has as much as any other"
_SHARES = (
    Column("downlink", "Down %", meaning=_TOGETHER),
    Column("uplink", "Up %", meaning=_TOGETHER),
    Column("server", "Serv %", meaning=_TOGETHER),
)
_PARTS = (
    Column("group", "Group", text=True),
    Column("devices", "Devices"),
    Column("cut", "Cut", text=True),
    *_SHARES,
    Column("download_s", "down"),
    Column("device_s", "device"),
    Column("upload_s", "up"),
    Column("server_s", "server"),
    Column("round_s", "ROUND"),
)
_BATCH = Column("batch", "Max batch", meaning="the most samples in a batch that a memory holds")
_CUTS = (
    Column("cut", "Cut", text=True),
    Column("devices", "Devices"),
    *_SHARES,
    Column("least_s", "shortest"),
    Column("mean_s", "mean"),
    Column("most_s", "longest"),
)


def group_tables(groups: Any) -> tuple[Table, ...]:
    """Return a table of the parts of a plan, the longest rounds of many, and one of its cuts."""
    rows = groups["rows"]
    if len(rows) > MOST_ROWS or len(rows) < groups["parts"]:
        rows = sorted(rows, key=lambda row: -row["round_s"])[:MOST_ROWS]
    which = ""
    if len(rows) < groups["parts"]:
        which = f"; the {len(rows)} of {groups['parts']:,} with the longest rounds"
    limited = any(row.get("largest_batch") is not None for row in rows)
    parts = Table(
        heading="Which group cuts where and gets what",
        caption=f"Shares of all devices of a row together in %, and seconds of each{which}",
        columns=(*_PARTS, *((_BATCH,) if limited else ())),
        rows=tuple(_part(row) for row in rows),
        things="groups",
    )
    cuts = Table(
        heading="Which cuts are in use",
        caption=f"All {groups['devices']:,} devices by cut: their shares together in %, and rounds "
        "in seconds",
        columns=_CUTS,
        rows=tuple(_cut(row) for row in groups["cuts"]),
        things="cuts",
    )
    return parts, cuts


def longest_parts(groups: Any) -> Figure:
    """Return a figure with a bar for each of the parts that take longest."""
    bars = [{**row, "name": f"{row['group']} ({row['devices']:,})"} for row in groups["rows"]]
    return longest_devices(bars, "round_s", PHASES, "Where the time of a round goes", "longest")


def _part(row: Any) -> dict[str, str]:
    many = row["devices"]
    return {
        "group": row["group"],
        "devices": f"{many:,}",
        "cut": f"{row['cut']} {row['cut_layer']}",
        "downlink": percent(_together(row["download_share"], many)),
        "uplink": percent(_together(row["upload_share"], many)),
        "server": percent(many * row["server_share"]),
        **{key: seconds(row[key]) for key in (*PHASES, "round_s")},
        "batch": f"{row['largest_batch']:,}" if row.get("largest_batch") is not None else "",
    }


def _together(share: float, many: int) -> float:
    """Return the share of all; 1 of a link that is each device's own stays 1."""
    return share if share == 1 else many * share


def _cut(row: Any) -> dict[str, str]:
    shares = (("downlink", "download"), ("uplink", "upload"), ("server", "server"))
    found = {key: row.get(f"{name}_share") for key, name in shares}
    return {
        "cut": f"{row['cut']} {row['cut_layer']}",
        "devices": f"{row['devices']:,}",
        **{key: "own" if share is None else percent(share) for key, share in found.items()},
        **{key: seconds(row[key]) for key in ("least_s", "mean_s", "most_s")},
    }
