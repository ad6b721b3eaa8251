"""The content of a plan's report, once, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from splitopt.plans import Plan, PlanLike, as_plan
from splitopt.problems.registry import PROBLEMS, module_of
from splitopt.report.content import Content, Figure, Table
from splitopt.report.numbers import gap, seconds

PROBLEM_REPORTS = "splitopt.report.problems"
"""The package whose module of a problem's name has ``content(plan)``."""


@dataclass(frozen=True)
class PlanSummary:
    """A plan in words, tables and figures."""

    title: str
    verdict: str
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()


def summarize(plan: PlanLike) -> PlanSummary:
    """Summarize a plan."""
    plan = as_plan(plan)
    name, profile = plan.scenario["name"], plan.profile["name"]
    title = f"{name}: {profile}, objective {plan.objective}"
    prediction = plan.prediction
    if prediction is None:
        reason = plan.result["message"] or f"{plan.result['solver']} found no feasible decision"
        return PlanSummary(title, f"No plan ({plan.result['outcome']}): {reason}")
    content = _content(plan, prediction)
    return PlanSummary(
        title,
        _verdict(plan.result, prediction["objective_unit"]),
        (*content.facts, *_interval(prediction)),
        content.tables,
        content.figures,
        plan.notes if plan.result["message"] is None else (plan.result["message"], *plan.notes),
    )


def _interval(prediction: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """State between which ends the real round lies, or why that is unknown."""
    interval = prediction.get("round_interval")
    if interval is None:  # a plan of an earlier version
        return ()
    if "unknown" in interval:
        return (("A real round", f"unknown, as {interval['unknown']}"),)
    low, high = (seconds(interval[end]) for end in ("low_s", "high_s"))
    level = f"{100 * interval['level']:.0f} %"
    return (("A real round", f"{low} to {high} s with every machine within its {level} interval"),)


def report_of(plan: Plan) -> ModuleType | None:
    """Return the module that reports plans of the plan's problem, if there is one."""
    return module_of(PROBLEM_REPORTS, plan.problem) if plan.problem in PROBLEMS else None


def _content(plan: Plan, prediction: Mapping[str, Any]) -> Content:
    """Return what the module of the problem says, or the numbers at the top of the prediction."""
    module = report_of(plan)
    if module is not None:
        found: Content = module.content(plan)
        return found
    facts = [
        (name, f"{value:,.7g}" if isinstance(value, float) else str(value))
        for name, value in prediction.items()
        if isinstance(value, int | float | str)
    ]
    return Content(tuple(facts), ())


def _verdict(result: Any, unit: str) -> str:
    """State how good the answer is and how that is known."""
    value = f"{result['objective']:,.7g}"
    if result["outcome"] == "optimal":
        return f"Optimal by proof: no plan is below {value} {unit} ({result['solver']})."
    if result["bound"] is None:
        return f"Feasible, {value} {unit}; how far from the best is unknown ({result['solver']})."
    return (
        f"Feasible, {value} {unit}, at most {gap(result['gap'])} above the best: no plan is below "
        f"{result['bound']:,.7g} {unit} ({result['solver']}, stopped: {result['stop_reason']})."
    )
