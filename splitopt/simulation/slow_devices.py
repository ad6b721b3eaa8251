"""Rounds in which some devices are slow: who they are, and the problem that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.problems.base import FloatArray

WORST = "worst"
"""In the place of names: those that are slow in the plan's worst case."""


def check_slow(problem: Any, slow: Any) -> tuple[str, ...] | None:
    """Return who is to be slow: names, ``("worst",)``, or None for nobody.

    Raises
    ------
    InputError
        It is neither a list of names nor ``"worst"``, or no device of the problem may be slow.
    """
    if slow is None:
        return None
    slowness = getattr(problem, "slowness", None)
    if slowness is None or not slowness.devices:
        raise InputError.at(
            "slow",
            "is for plans of devices that may be slow, which say by how much; plan a scenario with "
            "a section robust.slow, or leave it out",
        )
    names = (slow,) if slow == WORST else slow
    if (
        isinstance(names, str)
        or not isinstance(names, Sequence)
        or not all(isinstance(name, str) for name in names)
    ):
        raise InputError.at(
            "slow", f"is {shown(slow)}, it must be 'worst' or a list of the names of devices"
        )
    return tuple(names)


def slow_parts(
    problem: Any, decision: Any, slow: Sequence[str], names: Sequence[str]
) -> FloatArray:
    """Return how far each device is slow (N,), from 0 to 1.

    Parameters
    ----------
    problem, decision
        A `RobustCutAndResources` and a decision of it.
    slow
        Of `check_slow`; a device of the name ``worst`` is not meant by it.
    names
        Of the N devices.

    Raises
    ------
    InputError
        There is no device of a name.
    """
    if tuple(slow) == (WORST,):
        return np.asarray(problem.worst_case(decision).slowed)
    place = {name: n for n, name in enumerate(names)}
    for name in slow:
        if name not in place:
            raise InputError.at(
                "slow", f"has {shown(name)}, which is no device{did_you_mean(name, place)}"
            )
    found = np.zeros(len(names))
    found[[place[name] for name in slow]] = 1.0
    return found


def slowed(problem: Any, part: FloatArray) -> Any:
    """Return the problem of a round in which each device is slow as far as `part` (N,) says.

    A device that is slow to a part of 1 takes its own factors times the seconds of its computing
    and of its links, and one to a part of z in between, as in the plan's worst case (Bertsimas and
    Sim 2004). In that problem nobody is slower still; the quorum stays.
    """
    link = (1 + (problem.slowness.links - 1) * part)[:, None]
    own = (1 + (problem.slowness.compute - 1) * part)[:, None]
    return replace(
        problem,
        download_s=problem.download_s * link,
        upload_s=problem.upload_s * link,
        device_s=problem.device_s * own,
        slow=None,
    )
