"""A training whose plan follows what rounds take, or waits for a quorum: facts, and rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.documents.checks import is_number
from splitopt.planning.control.estimating import OF_DEVICE, SERVER
from splitopt.report.content import Column, Table
from splitopt.report.numbers import percent
from splitopt.training.history import History, RoundRow
from splitopt.units import counted, some_names

MOST_DEVICES = 24
"""Devices with a row each; of more there are those whose rates are the farthest from planned."""


def following_facts(history: History) -> list[tuple[str, str]]:
    """Return how often the plan changed by what was measured, and how sure the plans are."""
    rows = [row for row in history if row.estimated]
    if not rows:
        return []
    changed = [row for row in rows if row.replan.get("moved")]
    gap = max(row.replan.get("gap", 0.0) for row in rows)
    words = f"cuts changed before {counted(len(changed), 'round')} of {len(rows)}"
    if changed:
        words += f" (the first: {changed[0].round})"
    return [("Planned by what rounds take", f"{words}; certified gap at most {percent(gap)} %")]


def robust_facts(history: History) -> list[tuple[str, str]]:
    """Return for whom no round waits, and the worst round that a plan insures against."""
    return _quorum(history) + _worst(history)


def _quorum(history: History) -> list[tuple[str, str]]:
    """Return for which devices of the plan no round waits."""
    left = history.origin.get("not_waited_for")
    if not isinstance(left, list) or not left:
        return []
    return [("Not waited for, and nothing learnt of", some_names(left))]


def _worst(history: History) -> list[tuple[str, str]]:
    """Return what a round takes when the devices are slow that a plan insures against."""
    found = history.origin.get("worst_round")
    if not isinstance(found, Mapping):
        return []
    names = found.get("slow")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return []
    numbers: list[Any] = [found.get(k) for k in ("slow_devices", "round_s", "if_none_slow_s")]
    if not all(is_number(number) for number in numbers):
        return []
    many, worst_s, nominal_s = map(float, numbers)
    words = f"{worst_s:,.5g} s in place of {nominal_s:,.5g} s"
    who = f"; then slow: {some_names(names)}" if names else ""
    return [(f"A round of the worst case, {many:g} slow", words + who)]


def following_tables(history: History) -> list[Table]:
    """Return what was measured in the last round and what is estimated, device by device."""
    last = next((row for row in reversed(history.rows) if row.estimated), None)
    if last is None:
        return []
    names = sorted(last.estimated, key=lambda name: -_far(last, name))[:MOST_DEVICES]
    left = len(last.estimated) - len(names)
    rows = [
        {
            "name": name,
            **{f"measured_{rate}": _text(last.measured, name, rate) for rate in OF_DEVICE},
            **{f"estimated_{rate}": _text(last.estimated, name, rate) for rate in OF_DEVICE},
        }
        for name in last.estimated
        if name in names
    ]
    columns = (
        Column("name", "Device", text=True),
        *(Column(f"measured_{rate}", f"Measured {rate}") for rate in OF_DEVICE),
        *(Column(f"estimated_{rate}", f"Estimated {rate}") for rate in OF_DEVICE),
    )
    server = {word: last.replan.get(f"{SERVER}_{word}") for word in ("measured", "estimated")}
    caption = f"Round {last.round}, as factors of what was planned; empty: the round does not tell"
    if server["estimated"] is not None:
        now = "nothing" if server["measured"] is None else f"{server['measured']:.4g}"
        caption += f"; the server: measured {now}, estimated {server['estimated']:.4g}"
    if left:
        caption += f"; {counted(left, 'device')} nearer to the plan left out"
    return [Table("Rates", caption, columns, tuple(rows), things="devices")]


def _far(row: RoundRow, name: str) -> float:
    """Return by how much the rate of a device that differs most does."""
    return max(max(value, 1 / value) for value in row.estimated[name].values())


def _text(rates: Mapping[str, Mapping[str, float]], name: str, rate: str) -> str:
    value = rates.get(name, {}).get(rate)
    return "" if value is None else f"{value:.4g}"
