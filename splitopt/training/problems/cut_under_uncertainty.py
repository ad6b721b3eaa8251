"""Plans of `CutUnderUncertainty`: clusters and subcarriers of its own in every sampled round."""

from __future__ import annotations

from splitopt.planning.planner import OpenedPlan
from splitopt.problems.cut_under_uncertainty import (
    CutUnderUncertainty,
    CutUnderUncertaintyDecision,
)
from splitopt.simulation.cluster_and_spectrum import replay
from splitopt.simulation.replay import Replay, Setting
from splitopt.training.problems.cluster_and_spectrum import groups_of, same_cut
from splitopt.training.program import Program, client_plans, make_program


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:
    """Return what a plan asks: the clusters of a sample in each round."""
    problem, decision, scenario = opened.problem, opened.decision, opened.scenario
    assert isinstance(problem, CutUnderUncertainty)
    assert isinstance(decision, CutUnderUncertaintyDecision)
    name = problem.cuts[decision.cut]
    cuts = same_cut(opened, opened.profile.layers.index(name) + 1, source)
    setting = Setting(scenario, opened.profile)
    known: dict[int, Replay] = {}

    def predict(number: int) -> Replay:
        if number not in known:
            block = problem.block(number, decision.cut)
            known[number] = replay(block, decision.recourse[number], setting)
        return known[number]

    return make_program(
        opened,
        "clustered",
        plan_digest,
        clients=client_plans(scenario, cuts),
        local_epochs=1,
        local_steps=scenario.training.epochs,
        groups=tuple(groups_of(answer) for answer in decision.recourse),
        _predict=predict,
    )
