"""Figures 5 to 8 as SVG."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.papers.dp_mora.published import MODELS, published
from benchmarks.papers.dp_mora.schemes import OURS
from benchmarks.papers.dp_mora.sweeps import AXES, Point
from splitopt.report.charts import line_styles, svg_text
from splitopt.storage.writing import write_atomic

_BASELINES = {
    "figure-5": ("SF3AF", "SF3PF", "FAAF"),
    "figure-6": ("FAAF", "FSAF", "SF3AF", "SF2AF", "SF1AF"),
}


def draw(figure: str, points: list[Point], folder: Path) -> None:
    """Draw the rounds of a figure's schemes for both models, and what the text implies."""
    from matplotlib.figure import Figure

    over = published()["sweeps"][figure]["over"]
    names = (*OURS, *_BASELINES.get(figure, _BASELINES["figure-6"]))
    styles = line_styles(names)
    canvas = Figure(figsize=(9.6, 4.2), layout="constrained")
    for axes, model in zip(canvas.subplots(1, 2), MODELS, strict=True):
        shown = [point for point in points if point.model == model]
        at = [point.setting[over] for point in shown]
        for name in names:
            style = styles[name]
            axes.plot(
                at,
                [point.rounds[name] / 1000 for point in shown],
                color=style.colour,
                linestyle=(0, style.dashes) if style.dashes else "solid",
                marker=style.marker,
                markersize=3.5,
                label=name.replace("`", ""),
            )
        implied = [point for point in shown if point.implied]
        if implied:
            # The median, as one of the printed per cents may contradict the others.
            axes.plot(
                [point.setting[over] for point in implied],
                [median(point.implied.values()) / 1000 for point in implied],
                "k*",
                label="DP-MORA, from the paper's text",
            )
        axes.set_title(MODELS[model], loc="left", fontsize=10.5)
        axes.set_xlabel(AXES[over])
        axes.set_ylabel("round in 1000 s")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#d9dee5", linewidth=0.6)
        axes.set_xticks(at)
        if figure != "figure-5":
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("{x:g}")
    handles, labels = canvas.axes[0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    write_atomic(folder / f"{figure}.svg", svg_text(canvas))
