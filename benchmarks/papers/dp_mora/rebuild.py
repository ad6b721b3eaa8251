"""Everything that is rebuilt, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.papers.dp_mora.bars import draw_figure_2
from benchmarks.papers.dp_mora.comparison import objectives_table, reductions_table
from benchmarks.papers.dp_mora.contradictions import contradictions
from benchmarks.papers.dp_mora.figures import draw
from benchmarks.papers.dp_mora.lemmas import convexity, lemmas_table
from benchmarks.papers.dp_mora.messages import messages_table
from benchmarks.papers.dp_mora.published import MODELS, published
from benchmarks.papers.dp_mora.regressions import regressions_table
from benchmarks.papers.dp_mora.schemes import Planned, ours, problem_at
from benchmarks.papers.dp_mora.sweeps import Point, rounds_table, sweep, text_table
from benchmarks.papers.dp_mora.waiting import waiting_table
from benchmarks.papers.tables import Table
from splitopt import CutAndResources
from splitopt.storage.writing import write_atomic

RESULTS = Path(__file__).parent / "results"


def rebuild(folder: Path) -> Iterator[Path]:
    """Write all files and give their paths one by one."""
    problems = {model: problem_at(model) for model in MODELS}
    plans = {model: ours(problem) for model, problem in problems.items()}
    for model in MODELS:
        for table in default_tables(model, problems[model], plans[model]):
            yield from _save(table, folder)
    yield draw_figure_2(problems, plans, folder)
    for table in (regressions_table(), lemmas_table(), messages_table()):
        yield from _save(table, folder)
    write_atomic(folder / "convexity.md", convexity())
    yield folder / "convexity.md"
    points = {figure: sweep(figure) for figure in published()["sweeps"]}
    for figure, found in points.items():
        yield from _save(rounds_table(figure, found), folder)
        yield from _save(text_table(figure, found), folder)
        draw(figure, found, folder)
        yield folder / f"{figure}.svg"
    text = contradictions(problems["resnet18"], plans["resnet18"], _uplink_100(points))
    write_atomic(folder / "contradictions.md", text)
    yield folder / "contradictions.md"


def default_tables(
    model: str, problem: CutAndResources, plans: dict[str, Planned]
) -> tuple[Table, ...]:
    """Return the tables at the settings of Tables 2 and 3."""
    return (
        waiting_table(model, problem, plans),
        reductions_table(model, problem, plans),
        objectives_table(model, problem, plans),
    )


def _save(table: Table, folder: Path) -> Iterator[Path]:
    table.save(folder)
    yield from (folder / f"{table.name}{suffix}" for suffix in (".md", ".csv"))


def _uplink_100(points: dict[str, list[Point]]) -> Point:
    """Return the point of Fig. 7 at 100 Mbit/s, ResNet-18."""
    return next(
        point
        for point in points["figure-7"]
        if point.model == "resnet18" and point.setting["uplink_mbit"] == 100
    )
