"""Figures 5 to 8: rounds over the leakage limit, the server's speed and the two rates."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.papers.dp_mora.comparison import baseline_rounds
from benchmarks.papers.dp_mora.published import (
    DEFAULT,
    MODELS,
    printed_reductions,
    published,
)
from benchmarks.papers.dp_mora.schemes import (
    DP_MORA,
    OURS,
    PARALLEL,
    SEQUENTIAL,
    lower_by,
    ours,
    problem_at,
)
from benchmarks.papers.tables import Cell, Table

AXES = {
    "leakage_limit": "leakage limit",
    "server_gmac": "server (GFLOPS of the paper)",
    "uplink_mbit": "uplink (Mbit/s)",
    "downlink_mbit": "downlink (Mbit/s)",
}


@dataclass(frozen=True)
class Point:
    """Rounds in s at one setting: of the baselines and of our plans, by name."""

    model: str
    setting: dict[str, float]
    rounds: dict[str, float]

    @property
    def printed(self) -> dict[str, float]:
        """The paper's per cents here, by baseline; they are of ResNet-18."""
        return printed_reductions(self.setting) if self.model == "resnet18" else {}

    @property
    def implied(self) -> dict[str, float]:
        """DP-MORA's round in s as each printed per cent implies it."""
        return {name: self.rounds[name] * (1 - by / 100) for name, by in self.printed.items()}


def sweep(figure: str) -> list[Point]:
    """Compute all points of a figure for both models.

    SF2 and SF3 take the cuts of `dp_mora`'s plan at the same setting.
    """
    plan = published()["sweeps"][figure]
    return [
        point_at(model, DEFAULT | {plan["over"]: value})
        for model in MODELS
        for value in plan["values"]
    ]


def point_at(model: str, setting: dict[str, float]) -> Point:
    """Compute all schemes at one setting."""
    problem = problem_at(model, setting)
    plans = ours(problem)
    cuts = tuple(plans[DP_MORA].cuts.tolist())
    rounds = baseline_rounds(problem, cuts)
    return Point(model, setting, rounds | {name: plan.round_s for name, plan in plans.items()})


def rounds_table(figure: str, points: list[Point]) -> Table:
    """Return the rounds of all schemes over a figure's axis, in 1000 s."""
    over = published()["sweeps"][figure]["over"]
    names = (*OURS, *PARALLEL, *SEQUENTIAL)
    rows: list[list[Cell]] = [
        [f"{MODELS[point.model]}, {point.setting[over]:g}"]
        + [point.rounds[name] / 1000 for name in names]
        for point in points
    ]
    number = figure.removeprefix("figure-")
    guess = (
        " The paper prints no leakage of the cuts; a logistic curve that agrees with the cuts of "
        "its tables stands in for it."
        if over == "leakage_limit"
        else ""
    )
    note = (
        f"Fig. {number}: round in 1000 s over the {AXES[over]}; everything else as in Tables 2 "
        f"and 3. SF2 and SF3 take the cuts of `dp_mora`.{guess}"
    )
    return Table(figure, ["model, value", *names], rows, note)


def text_table(figure: str, points: list[Point]) -> Table:
    """Set the per cents that the text prints for a figure beside ours."""
    over = published()["sweeps"][figure]["over"]
    rows: list[list[Cell]] = []
    for point in points:
        if over != "leakage_limit" and point.setting == DEFAULT:
            continue  # item 1 is of Fig. 2 and stands with Fig. 5, which shares its limit
        for name, by in point.printed.items():
            row: list[Cell] = [f"{point.setting[over]:g}, {name}", by]
            row += [lower_by(point.rounds[plan], point.rounds[name]) for plan in OURS]
            rows.append([*row, point.implied[name] / 1000])
    head = ["value, baseline", "paper's text", *OURS, "implied DP-MORA round in 1000 s"]
    number = figure.removeprefix("figure-")
    note = (
        f"Text on Fig. {number}, ResNet-18: by how many per cent the round is shorter than the "
        "baseline's, as printed and for our plans. The last column is DP-MORA's round as the "
        "printed per cent and our round of the baseline imply it; within one value it should be "
        "one number."
    )
    return Table(f"{figure}-text", head, rows, note)
