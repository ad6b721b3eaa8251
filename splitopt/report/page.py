"""A plan as one self-contained HTML page."""

from __future__ import annotations

from splitopt.plans import PlanLike, as_plan
from splitopt.report.summary import summarize
from splitopt.report.templating import template


def plan_to_html(plan: PlanLike) -> str:
    """Return the page: verdict, facts, figures, tables, notes."""
    plan = as_plan(plan)
    return str(template("plan.html").render(summary=summarize(plan), plan=plan))
