"""The price of robustness: in the terminal, and as a page with the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.report.charts import Curve, Panel, line_styles, panels_figure, svg_text
from splitopt.report.content import Column, Figure, Table
from splitopt.report.grids import table_in_terminal
from splitopt.report.numbers import gap, percent, seconds
from splitopt.report.summary import PlanSummary
from splitopt.report.templating import template

if TYPE_CHECKING:
    from splitopt.planning.robust_curve import RobustCurve, RobustPoint

_LINES = ("worst case", "worst case of the first plan", "if none is slow")


def robust_curve_to_terminal(found: RobustCurve) -> RenderableType:
    """Lay out the table and the verdict."""
    summary = summarize_robust_curve(found)
    parts: list[RenderableType] = [Text(summary.title, style="bold")]
    for own in summary.tables:
        parts += table_in_terminal(own)
    parts.append(Text(summary.verdict, style="bold"))
    return Group(*parts)


def robust_curve_to_html(found: RobustCurve) -> str:
    """Return the page."""
    return str(template("tradeoff.html").render(summary=summarize_robust_curve(found)))


def summarize_robust_curve(found: RobustCurve) -> PlanSummary:
    """Summarize the plans as a title, a verdict, a table and a figure."""
    title = f"{found.name}: what protection costs with {found.model}, objective {found.objective}"
    if not found.points:
        return PlanSummary(title, f"No plan: {found.message}")
    figure = Figure(
        "Seconds against the number of slow devices",
        lambda: _drawn(found),
        f"The {found.objective} in s of the plan that is best for each number of slow devices",
    )
    return PlanSummary(title, _verdict(found), (), (_table(found),), (figure,), ())


def _table(found: RobustCurve) -> Table:
    least = found.points[0].nominal_s
    return Table(
        "Slow devices",
        f"The best plan if at most so many of {found.devices:,} devices are slow "
        f"({_factors(found)}), waiting for {found.quorum:,}",
        (
            Column("slow", "Slow"),
            Column("worst", "worst case s"),
            Column(
                "first", "first plan's s", meaning="the worst case of the plan in the first row"
            ),
            Column("nominal", "if none slow s"),
            Column("price", "price %", meaning="more than the first plan takes if none is slow"),
            Column("gap", "Gap"),
        ),
        tuple(_row(point, least) for point in found.points),
        things="numbers of slow devices",
    )


def _factors(found: RobustCurve) -> str:
    named = (("computing", found.compute), ("links", found.links))
    return " and ".join(f"{name} {value:g} times" for name, value in named if value > 1)


def _row(point: RobustPoint, least: float) -> dict[str, str]:
    known = point.gap
    return {
        "slow": f"{point.slow:g}",
        "worst": seconds(point.worst_s),
        "first": seconds(point.unprotected_s),
        "nominal": seconds(point.nominal_s),
        "price": percent(point.nominal_s / least - 1) if least else "",
        "gap": "proved" if point.is_proved else "none" if known is None else gap(known),
    }


def _verdict(found: RobustCurve) -> str:
    first, last = found.points[0], found.points[-1]
    all_proved = all(point.is_proved for point in found.points)
    proved = "each an optimum by proof" if all_proved else "not all proved, see their gaps"
    price = last.nominal_s / first.nominal_s - 1 if first.nominal_s else 0.0
    saved = 1 - last.worst_s / last.unprotected_s if last.unprotected_s else 0.0
    end = "" if found.message is None else f" Beyond: {found.message}."
    count = len(found.points)
    return (
        f"{count} plan{'s' if count > 1 else ''}, {proved}: against {last.slow:g} slow devices the "
        f"worst case is {percent(saved)} % shorter than that of the first plan, for "
        f"{percent(price)} % more if none is slow.{end}"
    )


def _drawn(found: RobustCurve) -> str:
    styles, curves = line_styles(_LINES), []
    x = [point.slow for point in found.points]
    for name, y in zip(
        _LINES,
        (
            [point.worst_s for point in found.points],
            [point.unprotected_s for point in found.points],
            [point.nominal_s for point in found.points],
        ),
        strict=True,
    ):
        curves += [Curve(x, y, styles[name], name, kind) for kind in ("line", "dots")]
    panel = Panel("", "slow devices", f"{found.objective} (s)", tuple(curves), log_x=False)
    return svg_text(panels_figure([panel], 3.8, legend=styles))
