"""CPSL's Fig. 5 as a picture."""

from __future__ import annotations

from matplotlib.figure import Figure

from benchmarks.training.figures import lines, round_seconds
from benchmarks.training.runs import Runs
from benchmarks.training.settings import FIGURE_5
from splitopt.report.charts import line_styles, svg_text

LEFT_OUT = ("cpsl-one-rate",)
"""Cases that are only in the table."""


def figure_5_svg(runs: Runs) -> str:
    """Draw test accuracy by round and by predicted time: means, and the range over the seeds.

    SplitFedV1 learns what FL learns and stands only in the picture by time.
    """
    shown = [line for line in lines() if line.case not in LEFT_OUT]
    styles = line_styles([line.label for line in shown])
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    by_round, by_time = figure.subplots(1, 2, sharey=True)
    drawn: set[str] = set()
    for line in shown:
        rounds, accuracy = runs.accuracy(FIGURE_5.name, line.case)
        places = [] if line.case in drawn else [(by_round, rounds)]
        if line.seconds is not None:
            places.append((by_time, rounds * line.seconds))
        drawn.add(line.case)
        colour, dashes = styles[line.label].colour, styles[line.label].dashes
        for axes, x in places:
            axes.fill_between(
                x, accuracy.min(axis=0), accuracy.max(axis=0), color=colour, alpha=0.15, lw=0
            )
            axes.plot(
                x,
                accuracy.mean(axis=0),
                color=colour,
                linestyle=(0, dashes) if dashes else "solid",
                linewidth=1.5,
                label=line.label,
            )
    for axes, x_label in ((by_round, "round"), (by_time, "predicted seconds")):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#d9dee5", linewidth=0.6)
        axes.set_xlabel(x_label)
    by_round.set_ylabel("test accuracy")
    by_round.set_xlim(0, FIGURE_5.rounds)
    by_time.set_xlim(0, FIGURE_5.rounds * 2 * round_seconds()["cpsl"])
    known = {
        label: handle
        for axes in (by_round, by_time)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=4, frameon=False)
    text = svg_text(figure)
    return text.replace("<svg ", '<svg style="background: white" ', 1)
