"""The answer of a plan in one sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.plans import Plan
from splitopt.report.numbers import duration, gap, percent, seconds
from splitopt.report.problems.cut_and_resources import fleet_size
from splitopt.report.summary import PlanSummary


def answer(plan: Plan, summary: PlanSummary) -> str:
    """Return the sentence that stands first: what the plan takes, and how good that is."""
    prediction = plan.prediction
    if prediction is None:
        return summary.verdict
    if plan.problem != "cut_and_resources":
        first = [fact for fact in summary.facts if fact[0].startswith("Round")] or summary.facts
        if not first:
            return summary.verdict
        label, value = first[0]
        of_what, quality = _of_what(plan, summary), _quality(plan.result)
        if of_what:
            quality = f"{of_what}, {quality[0].lower()}{quality[1:]}"
        return f"{label}: {value}. {quality}"
    energy = prediction.get("energy_j")
    if plan.objective == "energy" and energy is not None:
        spent = f"A round costs the devices {seconds(energy)} J"
        return f"{spent} and takes {duration(prediction['round_s'])}. {_quality(plan.result)}"
    together = plan.objective != "makespan"
    what = f"A round takes {duration(prediction['round_s'])}"
    if together:
        what += f", and all devices together {duration(prediction['total_s'])}"
    if plan.objective == "latency_energy" and energy is not None:
        what += f" and {seconds(energy)} J"
    return f"{what}. {_quality(plan.result)}"


def advice(plan: Plan) -> tuple[str, ...]:
    """Return what limits a plan of cuts and resources, and what helps most, in sentences."""
    prediction = plan.prediction
    if prediction is None or plan.problem != "cut_and_resources":
        return ()
    found = [*_pays(prediction), *_waits(prediction), *_binds(prediction)]
    return tuple(found)


def _of_what(plan: Plan, summary: PlanSummary) -> str:
    """Return what a proof is about where that is not the number before it."""
    if plan.problem == "cut_under_uncertainty":
        return "For these samples"
    if "Minimised" in dict(summary.facts):
        return f"That is not what was minimised; for the objective {plan.objective}"
    return ""


def _quality(result: Any) -> str:
    if result["outcome"] == "optimal":
        return "No plan is better: that is proved."
    if result["bound"] is None:
        return "How far from the best that is, is unknown."
    return f"No plan is better by more than {gap(result['gap'])}: that is proved."


def _pays(prediction: Mapping[str, Any]) -> list[str]:
    narrow, unit = prediction["bottleneck"], prediction["objective_unit"]
    most = narrow.get("helps_most")
    if most is None:
        return []
    rows = sorted(prediction["worth"], key=lambda row: -row["per_percent"])
    saved = narrow["saved_per_percent"]
    text = f"What pays most is {_the(most)}: 1 % more saves {seconds(saved)} {unit}"
    if len(rows) > 1 and rows[1]["per_percent"] > 0 and saved > 0:
        part = rows[1]["per_percent"] / saved
        text += f"; next is {_the(rows[1]['resource'])} with {percent(part)} % of that"
    nothing = [_the(row["resource"]) for row in rows if row["per_percent"] <= 1e-4 * saved]
    if nothing:
        text += f"; more of {' or '.join(nothing)} saves next to nothing"
    return [text + "."]


def _the(resource: str) -> str:
    """Name a resource in a sentence."""
    if resource.startswith(("device ", "devices ")):
        return f"the speed of {resource}"
    if resource == "server" or resource.startswith("server "):
        return f"the {resource}'s speed" if resource == "server" else f"the speed of {resource}"
    return f"the {resource}"


def _waits(prediction: Mapping[str, Any]) -> list[str]:
    narrow = prediction["bottleneck"]
    together = narrow.get("slowest_devices", 1)
    if together > 1:
        every = fleet_size(prediction)
        others = "" if together == every else f", and the other {every - together:,} wait for them"
        return [
            f"{'All ' if together == every else ''}{together:,} devices end together at the end "
            f"of the round{others}: none of them alone holds it up."
        ]
    return [
        f"The round ends with {narrow['device']}, which spends "
        f"{percent(narrow['fraction_of_round'])} % of it on its longest part, {narrow['phase']}: "
        "all others wait for it."
    ]


def _binds(prediction: Mapping[str, Any]) -> list[str]:
    found = []
    leakage = prediction.get("leakage")
    if leakage is not None and leakage["limit"] is not None:
        bound = leakage.get("bound") or len(leakage["bound_devices"])
        if bound:
            guess = ", which rests on guessed numbers," if leakage["state"] == "guess" else ""
            found.append(
                f"The leakage limit of {leakage['limit']:g}{guess} keeps {bound:,} "
                f"device{'s' if bound > 1 else ''} from an earlier cut."
            )
    for row in prediction.get("budgets") or []:
        if row["without"]["saves"] > 0:
            unit = prediction["objective_unit"]
            found.append(
                f"The {row['name']} is a limit that costs: without it the plan would save "
                f"{seconds(row['without']['saves'])} {unit}."
            )
    return found
