"""Figure 2 as SVG: the round of every scheme, here and as the paper's numbers imply it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.papers.dp_mora.comparison import baseline_rounds, samples_of
from benchmarks.papers.dp_mora.published import (
    DEFAULT,
    MODELS,
    printed_reductions,
    published_dp_mora_round,
)
from benchmarks.papers.dp_mora.schemes import OURS, Planned, recovered_cuts, replayed
from splitopt import CutAndResources
from splitopt.report.charts import svg_text
from splitopt.storage.writing import write_atomic

_PUBLISHED = "DP-MORA, replay"


def rounds(model: str, problem: CutAndResources, plans: Mapping[str, Planned]) -> dict[str, float]:
    """Compute the round in s of every scheme of Figure 2 and of the plans made here."""
    cuts = recovered_cuts(model, problem.devices)
    ours = {name: plans[name].round_s for name in OURS}
    return ours | {_PUBLISHED: replayed(problem, cuts).round_s} | baseline_rounds(problem, cuts)


def implied() -> dict[str, float]:
    """Compute the rounds in s with ResNet-18 that the text's per cents imply.

    They start from DP-MORA's round, which Table 2 and the per cent for SF1AF give.
    """
    own = published_dp_mora_round(samples_of("resnet18"))
    text = printed_reductions(dict(DEFAULT))
    return {_PUBLISHED: own} | {name: own / (1 - by / 100) for name, by in text.items()}


def draw_figure_2(
    problems: Mapping[str, CutAndResources],
    plans: Mapping[str, Mapping[str, Planned]],
    folder: Path,
) -> Path:
    """Draw Figure 2 for both models and return the file."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9.6, 4.4), layout="constrained")
    for axes, model in zip(canvas.subplots(1, 2), MODELS, strict=True):
        found = rounds(model, problems[model], plans[model])
        names = list(found)[::-1]
        axes.barh(names, [found[name] / 1000 for name in names], color="#4c78a8", label="here")
        if model == "resnet18":
            text = implied()
            axes.plot(
                [text[name] / 1000 for name in names if name in text],
                [name for name in names if name in text],
                "k*",
                label="from the paper's text and Table 2",
            )
        axes.set_yticks(range(len(names)), [name.replace("`", "") for name in names])
        axes.set_title(MODELS[model], loc="left", fontsize=10.5)
        axes.set_xlabel("round in 1000 s")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#d9dee5", linewidth=0.6)
        axes.set_axisbelow(True)
    handles, labels = canvas.axes[0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    path = folder / "figure-2.svg"
    write_atomic(path, svg_text(canvas))
    return path
