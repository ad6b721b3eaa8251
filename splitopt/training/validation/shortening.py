"""A plan of which only the first mini-batches of every device are run."""

from __future__ import annotations

from dataclasses import replace

from splitopt.documents.checks import is_whole
from splitopt.errors import InfeasibleError, InputError
from splitopt.plan_result import PlanResult
from splitopt.planning.explaining import explainer_of
from splitopt.planning.planner import by_device, open_plan
from splitopt.planning.promises import promise
from splitopt.plans import Plan
from splitopt.problems.cut_and_resources.parts import is_grouped
from splitopt.training.program import read_program


def first_steps(plan: Plan, steps: int, source: str = "plan") -> Plan:
    """Return the same decision for a round of at most so many mini-batches of each device.

    Where a round is epochs, it becomes one epoch of a part of the device's samples; in clusters,
    where a local epoch is a mini-batch, it has fewer of them. Everything else is as it was: the
    device part of the model still goes down before and up after the round. What it promises is
    what the plan's own model says of the shorter round, and that alone.

    Parameters
    ----------
    plan
        With a decision.
    steps
        At least 1.
    source
        How messages call the plan.

    Raises
    ------
    InputError
        The number is not a whole one above 0, or the plan cannot be read.
    InfeasibleError
        The plan has no decision.
    """
    if not is_whole(steps, 1):
        raise InputError.at("steps", f"is {steps!r}, it must be a whole number >= 1")
    opened = by_device(open_plan(plan, source), source)
    if is_grouped(plan.decision):
        plan = opened.plan
    if opened.decision is None or plan.decision is None:
        reason = plan.result.get("message") or "no feasible decision was found"
        raise InfeasibleError(f"{source}: there is nothing to run: {reason}")
    scenario = opened.scenario
    if read_program(opened, plan, source).local_steps is not None:  # a local epoch is a batch
        epochs = min(steps, scenario.training.epochs)
    else:
        epochs = 1
        devices = tuple(
            device.model_copy(
                update={"samples": min(device.samples, steps * device.batch_size)}
                if device.batch_size
                else {}
            )
            for device in scenario.devices
        )
        scenario = scenario.model_copy(update={"devices": devices})
    training = scenario.training.model_copy(update={"epochs": epochs})
    scenario = scenario.model_copy(update={"training": training})
    explainer = explainer_of(plan.problem, source)(scenario, opened.profile, plan.objective)
    problem = explainer.pose()
    decision = problem.decode(plan.decision, f"{source}: decision")
    objective = problem.evaluate(decision)
    promised = promise(explainer, problem, decision).to_dict()
    outcome = {"outcome": "feasible", "objective": objective, "bound": None, "gap": None}
    return replace(
        plan,
        scenario=scenario.to_dict(),
        prediction=promised,
        result=PlanResult({**plan.result, **outcome}),
    )
