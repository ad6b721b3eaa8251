"""Which numbers of a scenario are guesses: paths into its document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitopt.errors import InputError, shown

EVERY = "*"
"""In a path: every entry of a list."""


def check_guesses(document: Mapping[str, Any], paths: Sequence[str]) -> None:
    """Check that each path leads to something that the scenario states.

    Raises
    ------
    InputError
        A path leads nowhere, or stands twice.
    """
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise InputError(f"guesses[{index}]: {shown(path)} stands twice; name it once")
        if not guessed_values(document, path):
            raise InputError(
                f"guesses[{index}]: {shown(path)} leads to nothing that the scenario states; name "
                "a field such as links.uplink, servers.edge.compute or devices.*.compute_power"
            )


def guessed_values(document: Mapping[str, Any], path: str) -> list[Any]:
    """Return what a dotted path leads to: steps are keys, and numbers, names or ``*`` in lists."""
    places: list[Any] = [document]
    for step in path.split("."):
        places = [inner for place in places for inner in _inside(place, step)]
    return places


def _inside(place: Any, step: str) -> list[Any]:
    """Return what one step leads to."""
    if isinstance(place, Mapping):
        return [place[step]] if step in place else []
    if not isinstance(place, list):
        return []
    if step == EVERY:
        return place
    named = [entry for entry in place if isinstance(entry, Mapping) and entry.get("name") == step]
    if named:
        return named
    return [place[int(step)]] if step.isdecimal() and int(step) < len(place) else []
