"""Whom a round waits for where the server goes on after Q of N devices, and their problem."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.problems.base import BoolArray, IntArray
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.problem import CutAndResources
from splitopt.problems.cut_and_resources.robust import RobustData


def waited_for(problem: Any, decision: Any) -> BoolArray | None:
    """Return for which devices (N,) a round waits in which none is slow; None for all of them.

    Of a sum those that the plan has chosen; of a makespan the first that are done, of equal ones
    those that come first in the fleet.
    """
    if not isinstance(problem, RobustData) or problem.waited == problem.devices:
        return None
    if problem.objective == "sum":
        return np.asarray(problem.worst_case(decision).counted)
    latency = problem.phases(decision).sum(axis=1)
    found = np.zeros(problem.devices, dtype=np.bool_)
    found[np.argsort(latency, kind="stable")[: problem.waited]] = True
    return found


def of_devices(problem: Any, decision: Any, rows: IntArray) -> tuple[Any, CutAndResourcesDecision]:
    """Return problem and decision of some devices (M,), with the shares that they have.

    The problem is the usual one, whose round waits for all of them; shares of the others stay
    theirs.
    """
    optional = {
        name: None if getattr(problem, name) is None else getattr(problem, name)[rows]
        for name in ("priority", "device_w", "radio_w")
    }
    part = CutAndResources(
        problem.download_s[rows],
        problem.upload_s[rows],
        problem.server_s[rows],
        problem.device_s[rows],
        problem.allowed[rows],
        problem.objective,
        **optional,
        seconds_per_joule=problem.seconds_per_joule,
        shared_links=problem.shared_links,
    )
    return part, part.decision_of(decision.cut[rows], decision.shares[rows])
