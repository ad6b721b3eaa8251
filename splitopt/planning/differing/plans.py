"""`diff_plans`: what changed from one plan to another, and what that gains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.planning.comparison.loads import device_loads
from splitopt.planning.differing.decisions import (
    decision_changes,
    is_told_in_full,
    numbers_in,
    plain_changes,
)
from splitopt.planning.differing.inputs import profile_changes, scenario_changes
from splitopt.planning.differing.values import (
    Certificate,
    DecisionChange,
    KeptDecision,
    NumberChange,
    PlanDiff,
)
from splitopt.planning.planner import OpenedPlan, open_plan
from splitopt.plans import Plan, PlanLike
from splitopt.scenario.sections import MOST_SINGLE

SAME = 1e-9
"""Relative difference of two values that rounding explains."""


def diff_plans(before: PlanLike, after: PlanLike) -> PlanDiff:
    """Compare two plans: their inputs, decisions, predictions and certificates.

    Both are opened, so that what they promise is computed anew from their decisions. Where problem,
    objective and devices are the same, the decision of the first is also evaluated on the inputs of
    the second: what the second saves of that is what planning anew was worth, and the rest of the
    difference is due to the inputs.

    Parameters
    ----------
    before, after
        `Plan`, the path of a plan file, or its plain data.

    Returns
    -------
    PlanDiff
        Of plans of different problems, only what both have is compared, and ``notes`` say so.

    Raises
    ------
    InputError
        One of them cannot be read, or does not do what it promises.
    """
    one = open_plan(before, _source(before, "before"))
    other = open_plan(after, _source(after, "after"))
    left, right = one.plan, other.plan
    same_problem = left.problem == right.problem
    shared, same_fleet = _devices(one, other), _fleet(one) == _fleet(other)
    same_ends = same_fleet if shared is None else not (shared[1] or shared[2])
    comparable = same_problem and left.objective == right.objective and same_ends
    inputs = scenario_changes(one.scenario.to_dict(), other.scenario.to_dict())
    inputs += profile_changes(one.profile, other.profile)
    decided = left.prediction is not None and right.prediction is not None
    decision = _decision(left, right) if same_problem else []
    certificates = _certificate(left), _certificate(right)
    kept = _kept(one, other) if comparable and same_fleet else None
    prediction = _numbers(one, other, comparable) if decided else []
    return PlanDiff(
        (left.problem, right.problem),
        (left.objective, right.objective),
        _unit(left, right),
        comparable,
        tuple(inputs),
        tuple(decision),
        tuple(prediction),
        certificates,
        kept,
        shared,
        _gains(comparable, prediction, certificates, kept if inputs else None),
        tuple(_notes(left, right, shared, same_fleet, certificates, comparable and not inputs)),
    )


def _source(plan: PlanLike, argument: str) -> str:
    return str(plan) if isinstance(plan, str | Path) else argument


def _decision(left: Plan, right: Plan) -> list[DecisionChange]:
    if left.prediction is None or right.prediction is None:
        return []
    if not _same_form(left.prediction, right.prediction):
        return []
    found = decision_changes(left.problem, left.prediction, right.prediction)
    if found or is_told_in_full(left.problem):
        return found
    return plain_changes(left.decision or {}, right.decision or {})


def _same_form(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Report whether both plans are by device, or both by group."""
    return ("groups" in left) == ("groups" in right)


def _certificate(plan: Plan) -> Certificate:
    result = plan.result
    return Certificate(
        result["outcome"],
        result["solver"],
        result["stop_reason"],
        result["objective"],
        result["bound"],
        result["gap"],
    )


def _unit(left: Plan, right: Plan) -> str | None:
    units = {plan.prediction["objective_unit"] for plan in (left, right) if plan.prediction}
    return units.pop() if len(units) == 1 else None


def _numbers(one: OpenedPlan, other: OpenedPlan, comparable: bool) -> list[NumberChange]:
    """Return what both promise: the objective where it compares, then all else that both have."""
    found = []
    values = one.plan.result["objective"], other.plan.result["objective"]
    if comparable:
        found.append(NumberChange("objective", _unit(one.plan, other.plan) or "", *values))
    left, right = _promised(one), _promised(other)
    for name, (unit, value) in left.items():
        if name in right:
            found.append(NumberChange(name, unit, value, right[name][1]))
    return found


def _promised(opened: OpenedPlan) -> dict[str, tuple[str, float]]:
    prediction = opened.plan.prediction
    assert prediction is not None  # both have decisions
    found = {name: (unit, value) for name, unit, value in numbers_in(prediction)}
    if "traffic_bytes" not in found and (traffic := _traffic(opened, prediction)) is not None:
        found["traffic_bytes"] = "B", traffic
    return found


def _traffic(opened: OpenedPlan, prediction: Mapping[str, Any]) -> float | None:
    """Return the bytes of a round of devices with cuts of their own, and nothing else of that."""
    rows = prediction.get("devices") or []
    if opened.plan.problem != "cut_and_resources" or not rows:
        return None
    chosen = opened.scenario.precision or opened.scenario.adapters
    if any("bits_up" in row or row.get("left_out") for row in rows) or chosen:
        return None
    cuts = np.array([row["cut"] for row in rows])
    return float(device_loads(opened.scenario, opened.profile, cuts)["traffic_bytes"])


def _devices(one: OpenedPlan, other: OpenedPlan) -> tuple[int, int, int] | None:
    if max(one.scenario.device_count(), other.scenario.device_count()) > MOST_SINGLE:
        return None
    left = {device.name for device in one.scenario.fleet()}
    right = {device.name for device in other.scenario.fleet()}
    return len(left & right), len(left - right), len(right - left)


def _fleet(opened: OpenedPlan) -> list[tuple[str, int]]:
    """Return devices and nodes in their order, as decisions count them."""
    scenario = opened.scenario
    return [(entry.name, entry.count) for entry in (*scenario.devices, *scenario.nodes)]


def _kept(one: OpenedPlan, other: OpenedPlan) -> KeptDecision | None:
    """Evaluate the decision of the first plan on the inputs of the second."""
    before, after = one.plan.prediction, other.plan.prediction
    if before is None or after is None or one.decision is None or other.problem is None:
        return None
    if not _same_form(before, after):
        return None
    if one.profile.layers != other.profile.layers:
        return KeptDecision(None, "the model has other layers")
    try:
        decision = other.problem.decode(one.decision.to_dict())
        broken = other.problem.violations(decision)
        value = float(other.problem.evaluate(decision))
    except InputError as error:
        return KeptDecision(None, f"it does not fit there: {error}")
    if broken:
        return KeptDecision(None, f"it would break {', '.join(broken)}")
    now = float(other.plan.result["objective"])
    if not np.isfinite(value):
        return KeptDecision(None, "it leaves somebody without a share there")
    return KeptDecision(value, None, (value - now) / abs(value) if value else 0.0)


def _gains(
    comparable: bool,
    prediction: list[NumberChange],
    certificates: tuple[Certificate, Certificate],
    kept: KeptDecision | None,
) -> str:
    """Return what B gains over A in a sentence or two."""
    if not prediction:
        missing = [
            name for name, one in zip("AB", certificates, strict=True) if one.objective is None
        ]
        return f"{' and '.join(missing)} has no decision, so that nothing can be gained or lost."
    if not comparable:
        change = next(one for one in prediction if one.name == "round_s")
        return f"B's round is {_relative(change)} A's; their objectives do not compare."
    change = prediction[0]
    words = f"B's objective is {_relative(change)} A's"
    if kept is None:
        return f"{words}."
    if kept.objective is None:
        return f"{words}; A's decision cannot be kept on B's inputs: {kept.reason}."
    saved = kept.saves or 0.0
    if abs(saved) <= SAME:
        return f"{words}, all of it by other inputs: on B's inputs A's decision is as good."
    way = "saves" if saved > 0 else "costs"
    return (
        f"{words}; on B's inputs A's decision has {kept.objective:,.7g} {change.unit}, of which "
        f"planning anew {way} {_percent(abs(saved))} %."
    )


def _relative(change: NumberChange) -> str:
    if change.relative is None or abs(change.relative) <= SAME:
        return "the same as" if not change.change else "equal but for rounding to"
    way = "below" if change.relative < 0 else "above"
    return f"{_percent(abs(change.relative))} % {way}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g}"


def _notes(
    left: Plan,
    right: Plan,
    shared: tuple[int, int, int] | None,
    same_fleet: bool,
    certificates: tuple[Certificate, Certificate],
    same_question: bool,
) -> list[str]:
    found = []
    if left.problem != right.problem:
        found.append(
            f"A answers {left.problem} and B {right.problem}: their decisions and objectives are "
            "not compared"
        )
    elif left.objective != right.objective:
        found.append(
            f"A has the objective {left.objective} and B {right.objective}: their values are not "
            "compared"
        )
    if left.prediction and right.prediction and not _same_form(left.prediction, right.prediction):
        found.append(
            "one plan is by group and the other by device: their decisions are not compared"
        )
    if shared is None and not same_fleet:
        found.append("the groups of devices differ: values of the objective are not compared")
    if shared is not None and (shared[1] or shared[2]):
        found.append(
            f"the fleets differ: {shared[0]} devices are in both, {shared[1]} in A only and "
            f"{shared[2]} in B only; decisions are compared for those in both"
        )
    if same_question:
        found += _contradictions(certificates)
    return found


def _contradictions(certificates: tuple[Certificate, Certificate]) -> list[str]:
    """Return where the bound of one plan denies the other: both answer the same question."""
    first, second = certificates
    found = []
    for name, other, bound, value in (
        ("A", "B", first.bound, second.objective),
        ("B", "A", second.bound, first.objective),
    ):
        if bound is not None and value is not None and bound > value + 1e-6 * abs(value):
            found.append(
                f"{name} claims that no plan is below {bound:,.7g}, but {other} is one, with "
                f"{value:,.7g}: the bound of {name} is wrong"
            )
    return found
