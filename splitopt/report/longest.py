"""Bars of the devices that take longest, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitopt.report.bars import stacked_bars
from splitopt.report.content import Figure

_MOST_BARS = 60


def longest_devices(
    devices: Sequence[Mapping[str, Any]],
    total: str,
    phases: Sequence[str],
    heading: str,
    called: str,
) -> Figure:
    """Return a figure with a bar for each of the devices that take longest.

    Parameters
    ----------
    devices
        Rows of a prediction, with ``name``.
    total, phases
        Which number orders them, and of which a bar consists, all in s.
    heading, called
        Of the figure, and what those are called where not all are shown.
    """
    shown = sorted(devices, key=lambda row: -row[total])[:_MOST_BARS]
    some = f" (the {len(shown)} {called})" if len(shown) < len(devices) else ""

    def draw() -> str:
        parts = {key.removesuffix("_s"): [row[key] for row in shown] for key in phases}
        return stacked_bars([row["name"] for row in shown], parts, "seconds per round")

    return Figure(f"{heading}{some}", draw)
