"""Plans of `CutAndResources`: SplitFedV1 with a cut of its own for every device."""

from __future__ import annotations

import numpy as np

from splitopt.planning.planner import OpenedPlan
from splitopt.problems.cut_and_resources import CutAndResourcesDecision
from splitopt.training.program import Allocation, Program, client_plans, cut_name, make_program


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:  # noqa: ARG001
    """Return what a plan asks of whoever trains it (DP-MORA)."""
    decision, scenario = opened.decision, opened.scenario
    assert isinstance(decision, CutAndResourcesDecision)
    cuts = [cut_name(opened.profile, int(cut)) for cut in decision.cut]
    shares = _shares(decision, shared_links=bool(scenario.links.shared))
    clients = client_plans(scenario, cuts, shares)
    return make_program(opened, "splitfed_v1", plan_digest, clients=clients)


def _shares(decision: CutAndResourcesDecision, *, shared_links: bool) -> list[Allocation]:
    """Return every device's shares; of a link of its own a device has all."""
    server = decision.server_share
    down = decision.download_share if shared_links else np.ones_like(server)
    up = decision.upload_share if shared_links else np.ones_like(server)
    return [
        {"download_share": float(a), "upload_share": float(b), "server_share": float(c)}
        for a, b, c in zip(down, up, server, strict=True)
    ]
