"""A plan as one self-contained HTML page."""

from __future__ import annotations

from functools import cache
from typing import Any

from splitopt.plans import Plan
from splitopt.report.charts import stacked_bars
from splitopt.report.summary import COLUMNS, PHASES, summarize

_MOST_BARS = 60


def plan_to_html(plan: Plan) -> str:
    """Give the page: verdict, chart of the rounds, device table, worth of resources, notes."""
    summary = summarize(plan)
    chart, shown = "", 0
    if plan.prediction is not None:
        slowest = sorted(plan.prediction["devices"], key=lambda row: -row["round_s"])[:_MOST_BARS]
        shown = len(slowest)
        chart = stacked_bars(
            [row["name"] for row in slowest],
            {key.removesuffix("_s"): [row[key] for row in slowest] for key in PHASES},
            "seconds per round",
        )
    page = template("plan.html").render(
        summary=summary, plan=plan, columns=COLUMNS, chart=chart, shown=shown
    )
    return str(page)


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
