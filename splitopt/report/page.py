"""A plan as one self-contained HTML page."""

from __future__ import annotations

from functools import cache
from typing import Any

from splitopt.plans import PlanLike, as_plan
from splitopt.report.summary import summarize


def plan_to_html(plan: PlanLike) -> str:
    """Give the page: verdict, facts, figures, tables, notes."""
    plan = as_plan(plan)
    return str(template("plan.html").render(summary=summarize(plan), plan=plan))


@cache
def template(name: str) -> Any:
    """Load one of the package's templates; every value is escaped unless marked safe."""
    import jinja2

    loader = jinja2.PackageLoader("splitopt.report")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)
