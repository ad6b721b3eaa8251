"""Plans of `CommonCut`: one cut for all devices, trained by the scheme that it was chosen for."""

from __future__ import annotations

from splitopt.planning.planner import OpenedPlan
from splitopt.problems.common_cut import CommonCut, CommonCutDecision
from splitopt.training.program import Party, Program, client_plans, cut_name, make_program


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:  # noqa: ARG001
    """Return what a plan asks of whoever trains it."""
    problem, decision, scenario = opened.problem, opened.decision, opened.scenario
    assert isinstance(problem, CommonCut)
    assert isinstance(decision, CommonCutDecision)
    cut = cut_name(opened.profile, decision.cut)
    shares = [
        {"download_share": down, "upload_share": up, "server_share": server}
        for down, up, server in decision.shares.tolist()
    ]
    clients = client_plans(scenario, [cut] * len(shares), shares)
    name = scenario.servers[0].name if scenario.servers else "averaging"
    return make_program(
        opened,
        problem.objective,
        plan_digest,
        clients=clients,
        holders=(Party(name, "server"),),
    )
