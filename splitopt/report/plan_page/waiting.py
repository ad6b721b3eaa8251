"""Who waits for whom in a round of devices that share links and a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitopt.report.bars import WAITING, Lane, Piece, lanes, stacked_bars
from splitopt.report.content import Figure
from splitopt.report.numbers import duration, percent

MOST_LANES = 60
PHASES = {
    "download_s": "download",
    "device_s": "device",
    "upload_s": "upload",
    "server_s": "server",
}


def waiting(rows: Sequence[Mapping[str, Any]], round_s: float) -> Figure:
    """Return a Gantt chart of a round: the phases of each row, and the wait for the slowest.

    Rows are devices, or groups of alike ones, of a prediction.
    """
    shown = sorted(rows, key=lambda row: -row["round_s"])[:MOST_LANES]
    some = f" (the {len(shown)} slowest devices)" if len(shown) < len(rows) else ""
    kinds = (*PHASES.values(), WAITING)
    last = shown[0]["name"] if shown else ""

    def draw() -> str:
        about = (
            f"Gantt chart of a round of {duration(round_s)}; {last} ends last, the others wait; "
            "the seconds are in the table of who cuts where"
        )
        return lanes([_lane(row, round_s, last) for row in shown], kinds, (0.0, round_s), about)

    return Figure(
        f"Who waits for whom in a round{some}",
        draw,
        "Each device's phases one after the other, as the model counts them, then its wait until "
        "the slowest device is done",
    )


def where_time_goes(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Return bars of the time of all devices together by phase."""
    many = [row.get("devices", 1) for row in rows]
    totals = {
        name: sum(count * row[key] for count, row in zip(many, rows, strict=True))
        for key, name in PHASES.items()
    }
    every = sum(totals.values()) or 1.0
    names = [f"{name}, {percent(total / every)} %" for name, total in totals.items()]

    def draw() -> str:
        parts = {
            name: [total if k == j else 0.0 for j in range(len(totals))]
            for k, (name, total) in enumerate(totals.items())
        }
        return stacked_bars(names, parts, "seconds of all devices together")

    return Figure("Where the time goes", draw, "Of all devices together, without waiting")


def _lane(row: Mapping[str, Any], round_s: float, last: str) -> Lane:
    pieces, at = [], 0.0
    for key, name in PHASES.items():
        text = f"{row['name']}, {name}: {duration(row[key])}"
        pieces.append(Piece(name, at, at + row[key], text))
        at += row[key]
    if round_s - at > 1e-6 * round_s:
        text = f"{row['name']} waits {duration(round_s - at)} for {last}"
        pieces.append(Piece(WAITING, at, round_s, text, 0.45))
    return Lane(row["name"], pieces)
