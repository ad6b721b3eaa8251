"""How it is known how good a plan is, in plain words."""

from __future__ import annotations

from typing import Any

from splitopt.plans import Plan
from splitopt.report.content import Column, Table
from splitopt.report.numbers import duration, gap, seconds
from splitopt.report.plan_page.section import Section

_FLOOR = (
    "A bound is a floor: a number that no plan of this fleet can undercut, whichever cuts and "
    "shares it takes. It is computed apart from the plan, and the plan is scored by the latency "
    "model itself, not by the solver that found it."
)
_PRICES = (
    "Here the floor comes from prices. Put a price on each shared resource, let every device take "
    "the cut that is cheapest for it alone at these prices, and add up: no plan can cost less than "
    "that, because sharing never makes a device cheaper than its own best choice. Good prices make "
    "the floor high; what is left between floor and plan is closed by trying out the cuts that "
    "prices cannot tell apart."
)


def certificate(plan: Plan) -> Section:
    """Return the section that explains bound and gap."""
    result = plan.result
    paragraphs = [_claim(result), _FLOOR]
    if plan.problem == "cut_and_resources" and result["solver"] == "exact":
        paragraphs.append(_PRICES)
    if result["bound"] is None:
        del paragraphs[1:]
    rows = [("This plan", result["objective"]), ("No plan is below", result["bound"])]
    unit = "" if plan.prediction is None else plan.prediction["objective_unit"]
    table = Table(
        "In numbers",
        f"How it ended: {result['outcome']}, since {_reason(result)}",
        (Column("what", "What", text=True), Column("value", "Value")),
        (
            *({"what": what, "value": _written(value, unit)} for what, value in rows),
            {"what": "Gap between them, of the plan", "value": gap(result["gap"])},
        ),
    )
    return Section(
        "certificate",
        "How good the plan is, and how that is known",
        tuple(paragraphs),
        tables=(table,),
    )


def _claim(result: Any) -> str:
    if result["outcome"] == "optimal":
        return (
            "This plan is proved to be the best there is: its value and the floor below all plans "
            "are the same but for rounding."
        )
    if result["bound"] is None:
        return (
            f"Nothing is proved about this plan: {result['solver']} finds plans and no floor below "
            "them. It may be the best, or far from it; the solver 'exact' would tell."
        )
    return (
        f"A better plan may exist, but none is better by more than {gap(result['gap'])} of this "
        "one's value: that is how far the proved floor lies below it."
    )


def _reason(result: Any) -> str:
    return {
        "proved": "the proof is complete",
        "gap": "the gap that was asked for is reached",
        "time": "the time was up",
        "iterations": "the iterations were used up",
        "converged": "the search came to its end",
        "interrupted": "it was interrupted",
    }.get(result["stop_reason"], f"it stopped ({result['stop_reason']})")


def _written(value: float | None, unit: str) -> str:
    if value is None:
        return "unknown"
    return duration(value) if unit == "s" else f"{seconds(value)} {unit}"
