"""A table of leakage: in the terminal, and as a page with the curve and the reconstructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.privacy.leakage.settings import RECONSTRUCTIONS
from splitopt.privacy.leakage.table import LeakageRow, LeakageTable
from splitopt.report.charts import Curve, Panel, line_styles, panels_figure, svg_text
from splitopt.report.content import Column, Figure, Table
from splitopt.report.grids import table_in_terminal
from splitopt.report.numbers import percent
from splitopt.report.summary import PlanSummary
from splitopt.report.templating import template
from splitopt.units import counted

if TYPE_CHECKING:
    from splitopt.privacy.leakage.measured import Measured

_CUT = (Column("cut", "Cut"), Column("layer", "Behind", text=True))
_ATTACK = (Column("attack", "Attack", text=True), Column("view", "Attacker", text=True))
_SAW = {"white": "white box", "black": "black box", "any": "either"}
_MEASURES = {
    "cosine": Column("cosine", "Cosine", meaning="Eq. 18 of DP-MORA, of values as they are"),
    "centred_cosine": Column("centred_cosine", "Centred", meaning="the same about the means"),
    "psnr_db": Column("psnr_db", "PSNR dB", meaning="peak signal-to-noise ratio"),
    "ssim": Column("ssim", "SSIM", meaning="structural similarity of images"),
}


def leakage_to_terminal(table: LeakageTable) -> RenderableType:
    """Lay out the tables and the verdict."""
    summary = summarize_leakage(table)
    parts: list[RenderableType] = [Text(summary.title, style="bold")]
    for own in summary.tables:
        parts += table_in_terminal(own)
    parts.append(Text(summary.verdict, style="bold"))
    parts += [Text(f"{label}: {value}") for label, value in summary.facts]
    return Group(*parts)


def leakage_to_html(table: LeakageTable, own: Measured | None = None) -> str:
    """Return the page; with reconstructions where they were made in this run."""
    return str(template("leakage.html").render(summary=summarize_leakage(table, own), table=table))


def summarize_leakage(table: LeakageTable, own: Measured | None = None) -> PlanSummary:
    """Summarize leakage as a title, a verdict, facts, tables and figures."""
    figures = []
    reconstructed = [row for row in table.rows if row.attack in RECONSTRUCTIONS]
    if reconstructed:
        figures.append(
            Figure(
                "Leakage over the cuts",
                lambda: _curves(table),
                "Mean cosine of samples and reconstructions, as they are (left) and about their "
                "means (right); flat lines: what looks like the samples without an attack",
            )
        )
    if own is not None and own.pictures and own.originals.dim() == 4:
        figures.append(
            Figure(
                "Reconstructions",
                lambda: _pictures(table, own),
                "The first samples, and what the attacks found of them behind each cut",
            )
        )
    return PlanSummary(
        title=f"{table.model}: what its cuts leak of {table.data}",
        verdict=_verdict(table),
        facts=tuple(_facts(table)),
        tables=tuple(_tables(table)),
        figures=tuple(figures),
    )


def _verdict(table: LeakageTable) -> str:
    view = table.settings["views"][0]
    rows = [row for cut in table.cuts if (row := table.worst(cut, view, "cosine"))]
    if not rows:
        return "No sample was reconstructed."
    most, least = (choose(rows, key=lambda row: row.value.mean) for choose in (max, min))
    floor = table.baselines.get("mean_image", {}).get("cosine")
    beside = "" if floor is None else f"; the mean image alone has {floor.mean:.3f}"
    return (
        f"Cosine of reconstructions ({_SAW[view]}) from {most.value.mean:.3f} behind {most.layer} "
        f"to {least.value.mean:.3f} behind {least.layer}{beside}."
    )


def _facts(table: LeakageTable) -> list[tuple[str, str]]:
    own = table.settings
    starts = "1 start" if own["restarts"] == 1 else f"{own['restarts']} starts"
    accuracy = "" if table.accuracy is None else f", {percent(table.accuracy)} % of tests right"
    return [
        ("Weights", f"{table.weights}{accuracy}"),
        ("Reconstructed", f"{counted(own['samples'], 'sample')}, {own['batch']} in a gradient"),
        ("Searches", f"{counted(own['steps'], 'step')}, {starts}, seed {own['seed']}"),
        ("Inferences", f"on {counted(own['inferences'], 'sample')}"),
    ]


def _tables(table: LeakageTable) -> list[Table]:
    found = []
    groups: dict[tuple[int, str, str], dict[str, LeakageRow]] = {}
    for row in table.rows:
        groups.setdefault((row.cut, row.attack, row.view), {})[row.measure] = row
    shown = [_reconstruction_row(key, rows) for key, rows in groups.items() if _is_rebuilt(key)]
    shown += [_baseline_row(name, values) for name, values in table.baselines.items()]
    if any(_is_rebuilt(key) for key in groups):
        columns = (*_CUT, *_ATTACK, *_used(shown))
        found.append(
            Table(
                "Reconstructions",
                "Likeness of samples and reconstructions: mean and standard deviation; below, "
                "of baselines that saw nothing",
                columns,
                tuple({column.key: row.get(column.key, "") for column in columns} for row in shown),
                things="attacks",
            )
        )
    inferred = [
        {
            "cut": str(row.cut),
            "layer": row.layer,
            "attack": row.attack.replace("_", " "),
            "measure": row.measure.replace("_", " "),
            "value": f"{row.value.mean:.3f} ± {row.value.std:.3f}",
            "chance": "" if row.chance is None else f"{row.chance:.3f}",
        }
        for row in table.rows
        if row.attack not in RECONSTRUCTIONS
    ]
    if inferred:
        columns = (
            *_CUT,
            _ATTACK[0],
            Column("measure", "Measure", text=True),
            Column("value", "Value"),
            Column("chance", "By chance", meaning="the same measure without an attack"),
        )
        caption = "Mean and standard deviation over groups of samples"
        found.append(Table("Inferences", caption, columns, tuple(inferred), things="inferences"))
    return found


def _is_rebuilt(key: tuple[int, str, str]) -> bool:
    return key[1] in RECONSTRUCTIONS


def _used(rows: Sequence[Mapping[str, str]]) -> list[Column]:
    return [own for name, own in _MEASURES.items() if any(row.get(name) for row in rows)]


def _reconstruction_row(
    key: tuple[int, str, str], rows: Mapping[str, LeakageRow]
) -> dict[str, str]:
    cut, attack, view = key
    layer = next(iter(rows.values())).layer
    head = {"cut": str(cut), "layer": layer, "attack": attack.replace("_", " ")}
    values = {name: f"{row.value.mean:.3f} ± {row.value.std:.3f}" for name, row in rows.items()}
    return {**head, "view": _SAW[view], **values}


def _baseline_row(name: str, values: Mapping[str, Any]) -> dict[str, str]:
    numbers = {key: f"{own.mean:.3f} ± {own.std:.3f}" for key, own in values.items()}
    return {"attack": name.replace("_", " "), "view": "saw nothing", **numbers}


def _curves(table: LeakageTable) -> str:
    lines = [
        (view, attack)
        for view in table.settings["views"]
        for attack in table.settings["attacks"]
        if attack in RECONSTRUCTIONS
    ]
    names = {line: f"{line[1].replace('_', ' ')}, {_SAW[line[0]]}" for line in lines}
    floors = {name: name.replace("_", " ") for name in table.baselines}
    styles = line_styles([*names.values(), *floors.values()])
    panels = []
    for measure, label in (("cosine", "cosine"), ("centred_cosine", "centred cosine")):
        curves = []
        for line, words in names.items():
            view, attack = line
            own = [
                row
                for row in table.rows
                if (row.view, row.attack, row.measure) == (view, attack, measure)
            ]
            x, y = [row.cut for row in own], [row.value.mean for row in own]
            kind: Any = "line" if len(x) > 1 else "dots"
            curves.append(Curve(x, y, styles[words], words, kind))
        for name, words in floors.items():
            value = table.baselines[name][measure].mean
            ends = [min(table.cuts), max(table.cuts)]
            curves.append(Curve(ends, [value, value], styles[words], words))
        panels.append(Panel("", "cut", label, tuple(curves), log_x=False, whole_x=True))
    return svg_text(panels_figure(panels, 3.4, legend=styles))


def _pictures(table: LeakageTable, own: Measured) -> str:
    """Draw the originals and, below, what each attack found behind each cut."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    shape, count = tuple(own.originals.shape[1:]), len(own.originals)
    names = {
        key: f"{key[0]} {table.layers[key[0] - 1]}\n{key[1].replace('_', ' ')}\n{_SAW[key[2]]}"
        for key in own.pictures
    }
    rows = [("original", own.originals.flatten(1).tolist())]
    rows += [(names[key], found) for key, found in own.pictures.items()]
    drawing = Drawing(
        figsize=(2.6 + 0.9 * count, 0.9 * len(rows)), layout=ConstrainedLayoutEngine()
    )
    places = drawing.subplots(len(rows), count, squeeze=False)
    low, high = float(own.originals.min()), float(own.originals.max())
    for line, (label, images) in zip(places, rows, strict=True):
        for axes, image in zip(line, images, strict=True):
            axes.imshow(_pixels(image, shape), cmap="gray", vmin=low, vmax=high)
            axes.set_xticks([])
            axes.set_yticks([])
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=7)
    return svg_text(drawing)


def _pixels(image: Sequence[float], shape: Sequence[int]) -> Any:
    """Return an image as rows x columns, or with three colours last, whatever its channels."""
    import numpy as np

    pixels = np.asarray(image).reshape(shape)
    if len(pixels) == 3:
        span = pixels.max() - pixels.min()
        return ((pixels - pixels.min()) / (span or 1.0)).transpose(1, 2, 0)
    return pixels.mean(axis=0)
