"""Plans of `TimeToAccuracy`: SplitFedV1 step by step, device parts averaged now and then."""

from __future__ import annotations

from dataclasses import replace

from splitopt.planning.planner import OpenedPlan
from splitopt.problems.time_to_accuracy import TimeToAccuracy, TimeToAccuracyDecision
from splitopt.problems.time_to_accuracy.tables import section_of
from splitopt.simulation.replay import Replay, Setting
from splitopt.simulation.time_to_accuracy import replay_step
from splitopt.training.program import Program, client_plans, cut_name, make_program


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:  # noqa: ARG001
    """Return what a plan asks of whoever trains it: a round is a step, as many as it promises."""
    problem, decision, scenario = opened.problem, opened.decision, opened.scenario
    assert isinstance(problem, TimeToAccuracy)
    assert isinstance(decision, TimeToAccuracyDecision)
    section = section_of(scenario)
    cuts = [cut_name(opened.profile, int(cut)) for cut in decision.cut]
    clients = tuple(
        replace(client, batch_size=int(size))
        for client, size in zip(client_plans(scenario, cuts), decision.batch_size, strict=True)
    )
    setting = Setting(scenario, opened.profile)

    def predict(number: int) -> Replay:
        return replay_step(problem, decision, setting, number)

    return make_program(
        opened,
        "splitfed_v1",
        plan_digest,
        clients=clients,
        local_epochs=1,
        local_steps=1,
        rounds=max(1, round(problem.rounds_of(decision))),
        aggregation_interval=decision.aggregation_interval,
        step_rule=None if section.extrapolate else dict(section.curve.step_rule),
        _predict=predict,
    )
