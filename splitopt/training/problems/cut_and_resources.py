"""Plans of `CutAndResources`: SplitFedV1 with a cut of its own for every device.

A plan that waits for a quorum is trained by the devices that a round waits for. On the virtual
clock the others are late in every round: what they have trained is thrown away, and they would
begin the next one with the common model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.planning.planner import OpenedPlan
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.problems.cut_and_resources.assigned import Assigned, assigned
from splitopt.problems.cut_and_resources.decision import SHARES
from splitopt.problems.cut_and_resources.quorum import of_devices, waited_for
from splitopt.profiles.counting.adapter_ranks import at_rank
from splitopt.scenario import Scenario
from splitopt.training.program import (
    Allocation,
    Party,
    Program,
    client_plans,
    cut_name,
    make_program,
)


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:  # noqa: ARG001
    """Return what a plan asks of whoever trains it (DP-MORA)."""
    decision, scenario = opened.decision, opened.scenario
    assert isinstance(decision, CutAndResourcesDecision)
    assert isinstance(opened.problem, CutAndResources)
    opened = _of_quorum(opened, decision)
    decision, scenario = opened.decision, opened.scenario
    assert isinstance(opened.problem, CutAndResources)
    assert isinstance(decision, CutAndResourcesDecision)
    given = assigned(opened.problem, decision, scenario, opened.profile)
    if given.rank is not None:  # the common model has the largest adapters
        opened = opened._replace(profile=at_rank(opened.profile, int(given.rank.max())))
    cuts = [cut_name(opened.profile, int(cut)) for cut in given.cut]
    clients = client_plans(scenario, cuts, _allocations(given, scenario))
    holders = tuple(Party(server.name, "server") for server in scenario.servers)
    return make_program(opened, "splitfed_v1", plan_digest, clients=clients, holders=holders)


def _of_quorum(opened: OpenedPlan, decision: CutAndResourcesDecision) -> OpenedPlan:
    """Return the plan of the devices that a round waits for."""
    awaited = waited_for(opened.problem, decision)
    if awaited is None:
        return opened
    rows = np.flatnonzero(awaited)
    fleet = opened.scenario.fleet()
    problem, own = of_devices(opened.problem, decision, rows)
    return opened._replace(
        problem=problem,
        decision=own,
        scenario=opened.scenario._with(devices=tuple(fleet[n] for n in rows), robust=None),
    )


def _allocations(given: Assigned, scenario: Scenario) -> list[Allocation]:
    """Return every device's shares, with its server and its bits where it chose them."""
    found: list[dict[str, Any]] = [
        dict(zip(SHARES, map(float, share), strict=True)) for share in given.share
    ]
    for n, one in enumerate(found):
        if given.server is not None:
            one["server"] = scenario.servers[given.server[n]].name
        if given.bits_up is not None and given.bits_down is not None:
            one |= {"bits_up": int(given.bits_up[n]), "bits_down": int(given.bits_down[n])}
        if given.rank is not None:
            one["adapter_rank"] = int(given.rank[n])
    return list(found)
