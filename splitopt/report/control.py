"""The chart of a controller's replay."""

from __future__ import annotations

from splitopt.planning.control.report import ControlReport
from splitopt.report.charts import line_styles, svg_text


def latency_chart(report: ControlReport) -> str:
    """Draw the latency of every round by policy, as SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#d9dee5", linewidth=0.6)
    numbers = [entry.number for entry in report.rounds]
    for name, style in line_styles(report.policies).items():
        axes.plot(
            numbers,
            report.latencies(name),
            label=name,
            color=style.colour,
            linestyle=(0, style.dashes) if style.dashes else "solid",
        )
    axes.set_xlabel("round")
    axes.set_ylabel("latency in s")
    if numbers:
        axes.legend(frameon=False, ncols=len(report.policies), loc="upper left")
    return svg_text(figure)
