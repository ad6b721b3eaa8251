"""A table of robustness: in the terminal, and as a page with the curve over radii."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.privacy.robustness.table import RobustnessTable
from splitopt.report.charts import Curve, Panel, line_styles, panels_figure, svg_text
from splitopt.report.content import Column, Figure, Table
from splitopt.report.grids import table_in_terminal
from splitopt.report.numbers import percent
from splitopt.report.summary import PlanSummary
from splitopt.report.templating import template

_COLUMNS = (
    Column("radius", "Radius"),
    Column("certified", "Certified %", meaning="right, and no change within the radius turns it"),
    Column("fgsm", "FGSM %", meaning="right after one step of the radius"),
    Column("pgd", "PGD %", meaning="right after projected gradient descent within the radius"),
    Column("flipped", "Flipped", meaning="certified inputs that PGD gave another class"),
)


def robustness_to_terminal(table: RobustnessTable) -> RenderableType:
    """Lay out the table, the verdict and what it rests on."""
    summary = summarize_robustness(table)
    parts: list[RenderableType] = [Text(summary.title, style="bold")]
    for own in summary.tables:
        parts += table_in_terminal(own)
    parts.append(Text(summary.verdict, style="bold"))
    parts += [Text(f"{label}: {value}") for label, value in summary.facts]
    return Group(*parts)


def robustness_to_html(table: RobustnessTable) -> str:
    """Return the page."""
    return str(template("summary.html").render(summary=summarize_robustness(table)))


def summarize_robustness(table: RobustnessTable) -> PlanSummary:
    """Summarize a table as a title, a verdict, facts, a table and a figure."""
    norm = _norm(table)
    attacked = [row for row in table.rows if row.pgd is not None]
    columns = _COLUMNS if attacked else _COLUMNS[:2]
    rows = tuple(
        {
            "radius": f"{row.radius:.4g}",
            "certified": percent(row.certified),
            "fgsm": "" if row.fgsm is None else percent(row.fgsm),
            "pgd": "" if row.pgd is None else percent(row.pgd),
            "flipped": "" if row.flipped is None else str(row.flipped),
        }
        for row in table.rows
    )
    caption = f"Shares of {table.inputs} test samples, by the {norm} norm of changes"
    return PlanSummary(
        title=f"{table.model}: what noise behind {table.pixel_dp['after']} certifies on "
        f"{table.data}",
        verdict=_verdict(table),
        facts=tuple(_facts(table)),
        tables=(Table("Accuracy by radius", caption, columns, rows, things="radii"),),
        figures=(
            Figure(
                "Accuracy over the radius",
                lambda: _curves(table),
                "Certified accuracy of all radii, and accuracy under attacks at some",
            ),
        ),
    )


def _verdict(table: RobustnessTable) -> str:
    held = sum(own > 0 for own in table.radii)
    middle = sorted(table.radii)[len(table.radii) // 2]
    return (
        f"Clean accuracy {percent(table.clean)} % under noise, {percent(table.without_noise)} % "
        f"without; {held} of {table.inputs} predictions are certified at some radius, the median "
        f"at {middle:.3g}."
    )


def _facts(table: RobustnessTable) -> list[tuple[str, str]]:
    own, pixel = table.settings, table.pixel_dp
    norm = _norm(table)
    delta = f", delta {pixel['delta']:g}" if pixel["mechanism"] == "gaussian" else ""
    limits = "Clopper and Pearson" if own["scores"] == "votes" else "Hoeffding"
    wrong = (1 - own["confidence"]) * table.inputs
    whose = (
        "all inputs and classes together"
        if own["simultaneous"]
        else f"each input, all classes together: up to {wrong:.3g} of {table.inputs} certificates "
        "may be false by chance"
    )
    facts = [
        (
            "Noise",
            f"{pixel['mechanism']}, scale {table.noise:.4g}: epsilon {pixel['epsilon']:g}{delta} "
            f"at {norm} radius {pixel['radius']:g}",
        ),
        (
            "Sensitivity",
            f"{table.sensitivity:.4g}, a proved bound; the empirical figure of Eq. 4 on these "
            f"samples is {table.empirical:.4g}, which certifies nothing",
        ),
        ("Scores", f"{own['scores']} of {own['draws']} noise draws; limits of {limits}"),
        ("Confidence", f"{percent(own['confidence'])} % for {whose}"),
    ]
    flipped = [row for row in table.rows if row.flipped]
    if flipped:
        facts.append(
            (
                "Certificates that did not hold",
                f"{flipped[0].flipped} at radius {flipped[0].radius:g}: by chance, as the "
                "confidence allows, or by predictions from too few draws; take more draws",
            )
        )
    return facts


def _norm(table: RobustnessTable) -> str:
    return "L2" if table.pixel_dp["mechanism"] == "gaussian" else "L1"


def _curves(table: RobustnessTable) -> str:
    names = ["certified", "under FGSM", "under PGD"]
    styles = line_styles(names)
    most = max([row.radius for row in table.rows] + list(table.radii))
    steps = sorted({0.0, *(own for own in table.radii if own > 0), most})
    held = [table.clean, *(table.certified_accuracy(step) for step in steps[1:])]
    curves = [Curve(*_stairs(steps, held), styles["certified"], "certified")]
    for name, key in (("under FGSM", "fgsm"), ("under PGD", "pgd")):
        points = [(row.radius, getattr(row, key)) for row in table.rows]
        known = [(x, y) for x, y in points if y is not None]
        if known:
            x, y = [0.0, *(x for x, _ in known)], [table.clean, *(y for _, y in known)]
            curves.append(Curve(x, y, styles[name], name))
    panel = Panel("", f"{_norm(table)} radius", "accuracy", tuple(curves), log_x=False)
    return svg_text(panels_figure([panel], 3.4, legend=styles))


def _stairs(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the corners of a staircase whose value at x[i] and just below it is y[i]."""
    corners = [(x[0], y[0])]
    for place, value in zip(x[1:], y[1:], strict=True):
        corners += [(corners[-1][0], value), (place, value)]
    return [a for a, _ in corners], [b for _, b in corners]
