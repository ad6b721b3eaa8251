"""A delay-cost Pareto set over machine types: a table in the terminal, a page with a plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.planning.pipelines.pareto import ParetoPoint, ParetoSet
from splitopt.report.charts import Curve, Panel, line_styles, panels
from splitopt.report.content import Column, Figure, Table
from splitopt.report.grids import table_in_terminal
from splitopt.report.numbers import seconds
from splitopt.report.summary import PlanSummary
from splitopt.report.templating import template
from splitopt.scenario import Scenario

_COLUMNS = (
    Column("delay", "Delay"),
    Column("cost", "Cost"),
    Column("slower", "slower %"),
    Column("cheaper", "cheaper %"),
    Column("mix", "Machines", text=True),
    Column("period", "Period"),
    Column("chain", "Chain, with the number of layers", text=True),
)


def pareto_to_terminal(found: ParetoSet, scenario: Scenario) -> RenderableType:
    """Lay out the set as a table."""
    summary = summarize_pareto(found, scenario)
    return Group(
        Text(summary.title, style="bold"),
        *table_in_terminal(summary.tables[0]),
        Text(summary.verdict, style="bold green"),
    )


def pareto_to_html(found: ParetoSet, scenario: Scenario) -> str:
    """Return the page: plot and table."""
    return str(template("pareto.html").render(summary=summarize_pareto(found, scenario)))


def summarize_pareto(found: ParetoSet, scenario: Scenario) -> PlanSummary:
    """Summarize the set as a title, a verdict, a table and a plot."""
    table = Table(
        heading="Mixes that no other beats",
        caption="Seconds (closed form) and rent of a round, and how much slower and cheaper it is "
        "than with the fastest mix",
        columns=_COLUMNS,
        rows=tuple(_row(point, found, scenario) for point in found.points),
        things="mixes",
    )
    return PlanSummary(
        title=f"{scenario.name}: delay and cost of the machines on offer",
        verdict=f"All {len(found.points)} mixes that no other beats in both delay and cost, by "
        f"proof: {found.mixes:,} mixes, of which {found.solved:,} had to be solved.",
        tables=(table,),
        figures=(Figure("Delay against cost", lambda: _plot(found.points)),),
    )


def _row(point: ParetoPoint, found: ParetoSet, scenario: Scenario) -> dict[str, str]:
    fastest = found.points[0]
    chain = point.decision.chain
    sizes = (chain.boundaries[1:] - chain.boundaries[:-1]).tolist()
    return {
        "delay": f"{seconds(point.delay_s)} s",
        "cost": f"{point.cost:.4g}",
        "slower": f"{100 * (point.delay_s / fastest.delay_s - 1):.1f}",
        "cheaper": f"{100 * (1 - point.cost / fastest.cost):.1f}" if fastest.cost > 0 else "0.0",
        "mix": describe_mix(point.nodes, scenario),
        "period": f"{seconds(point.period_s)} s",
        "chain": ", ".join(
            f"{found.names[n]} {size}" for n, size in zip(chain.nodes.tolist(), sizes, strict=True)
        ),
    }


def describe_mix(nodes: Sequence[int], scenario: Scenario) -> str:
    """Describe how many machines of each group a mix has, such as ``2 x large, 1 x small``."""
    group = [node.name for node in scenario.nodes for _ in range(node.count)]
    counts = Counter(group[n] for n in nodes)
    return ", ".join(
        f"{counts[node.name]} x {node.name}" for node in scenario.nodes if counts[node.name]
    )


def _plot(points: Sequence[ParetoPoint]) -> str:
    style = line_styles(["mixes"])["mixes"]
    x: list[Any] = [point.delay_s for point in points]
    y: list[Any] = [point.cost for point in points]
    curves = (Curve(x, y, style, "front", "steps"), Curve(x, y, style, "mixes", "dots"))
    return panels([Panel("", "delay of a round in s", "rent of a round", curves, log_x=False)])
