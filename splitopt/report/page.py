"""A plan as one self-contained HTML page."""

from __future__ import annotations

from dataclasses import replace

from splitopt.plans import Plan, PlanLike, as_plan
from splitopt.report.alike import with_alike_rows
from splitopt.report.content import Figure, Table
from splitopt.report.plan_page.answer import advice, answer
from splitopt.report.plan_page.baselines import MOST_GROUPS, baselines
from splitopt.report.plan_page.certificate import certificate
from splitopt.report.plan_page.inputs import inputs
from splitopt.report.plan_page.limits import limits
from splitopt.report.plan_page.opened import OpenedStar, opened_star
from splitopt.report.plan_page.replayed import replayed
from splitopt.report.plan_page.section import Section
from splitopt.report.plan_page.waiting import waiting, where_time_goes
from splitopt.report.replanning import replanning
from splitopt.report.summary import PlanSummary, summarize
from splitopt.report.templating import template

_ADVISED = ("Bottleneck", "Slowest device")
"""Facts of the terminal that the page says in words, where it has advice."""


def plan_to_html(plan: PlanLike, written: str = "") -> str:
    """Return the page: the answer, what to do about it, and all that it follows from.

    Parameters
    ----------
    plan
        A plan, the path of its file, or its plain data.
    written
        The date to state, such as ``2026-05-01``; none by default, so that the page of a plan is
        the same whenever it is made.
    """
    plan = as_plan(plan)
    shown = with_alike_rows(plan)
    summary = summarize(shown)
    advised = advice(plan)
    star = opened_star(plan) if plan.problem == "cut_and_resources" else None
    page = template("plan.html").render(
        summary=summary,
        shown_facts=[fact for fact in summary.facts if not advised or fact[0] not in _ADVISED],
        plan=plan,
        answer=answer(plan, summary),
        advice=advised,
        parts=_sections(plan, shown, star, summary),
        replan=replanning(plan, star),
        written=written,
    )
    return str(page)


def _sections(
    plan: Plan, shown: Plan, star: OpenedStar | None, summary: PlanSummary
) -> list[Section]:
    """Return what follows the answer, in the order of the page."""
    found: list[Section | None] = [inputs(plan)]
    if plan.prediction is not None:
        if star is None:
            found += [_of_figure(f"figure{k}", one) for k, one in enumerate(summary.figures)]
            found.append(replayed(plan))
            found += [_of_table(f"table{k}", one) for k, one in enumerate(summary.tables)]
        else:
            found += _star_sections(shown, star, summary)
        found.append(certificate(plan))
    return [section for section in found if section is not None]


def _star_sections(shown: Plan, star: OpenedStar, summary: PlanSummary) -> list[Section | None]:
    """Return the sections of a plan of cuts and resources."""
    prediction = shown.prediction
    assert prediction is not None  # the caller saw to it
    groups = prediction.get("groups")
    rows, whole = prediction["devices"], True
    if groups is not None:
        whole = len(groups["rows"]) == groups["parts"]
        rows = [{**row, "name": f"{row['group']} ({row['devices']:,})"} for row in groups["rows"]]
    found: list[Section | None] = [_of_figure("waiting", waiting(rows, prediction["round_s"]))]
    if whole:
        found.append(_of_figure("time", where_time_goes(rows)))
    found += [_of_table(f"cuts{k}", one) for k, one in enumerate(summary.tables) if one.main]
    found.append(limits(shown, star.scenario, star.profile, rows))
    found += [_of_table(f"worth{k}", one) for k, one in enumerate(summary.tables) if not one.main]
    if star.problem is not None and star.counts is not None and len(star.counts) <= MOST_GROUPS:
        found.append(baselines(shown, star.problem, star.counts))
    return found


def _of_figure(name: str, figure: Figure) -> Section:
    return Section(name, figure.heading, figures=(replace(figure, heading=""),))


def _of_table(name: str, table: Table) -> Section:
    return Section(name, table.heading, tables=(replace(table, heading=""),))
