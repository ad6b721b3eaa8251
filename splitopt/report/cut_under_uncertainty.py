"""The report of a `CutUnderUncertainty` plan: the cut, how rounds spread, how sure that is."""

from __future__ import annotations

from typing import Any

from splitopt.plans import Plan
from splitopt.report.content import Column, Content, Table
from splitopt.report.numbers import duration, percent, seconds

_CUTS = (
    Column("cut", "Cut", text=True),
    Column("mean", "Mean"),
    Column("low", "from"),
    Column("high", "to"),
    Column("difference", "Above the chosen"),
    Column("between", "between", text=True),
)


def content(plan: Plan) -> Content:
    """Put the prediction into facts and a table of cuts."""
    assert plan.prediction is not None  # the caller saw to it
    prediction = plan.prediction
    rounds = prediction["rounds"]
    facts = [
        ("Cut", prediction["cut"]),
        ("Round, mean over samples", f"{seconds(prediction['round_s'])} s"),
        ("Median round", f"{seconds(rounds['median_s'])} s"),
        ("95 % of the rounds within", f"{seconds(rounds['p95_s'])} s"),
        (
            f"Worst {percent(1 - rounds['cvar_level'])} % of the rounds, mean (CVaR)",
            f"{seconds(rounds['cvar_s'])} s",
        ),
        ("Whole training, expected", duration(prediction["training_s"])),
    ]
    found = prediction.get("confidence")
    if found is None:
        return Content(tuple(facts), ())
    if found["gap"] is not None:
        bound = f"{seconds(found['gap']['bound_s'])} s"
        facts.append((f"Above the best cut, at {percent(found['level'])} % confidence", bound))
    if found["left_out"]:
        facts.append(("Left out, cannot win", ", ".join(found["left_out"])))
    table = Table(
        heading="The cuts on the same samples",
        caption=(
            f"Seconds of a round on {found['samples']} samples, with intervals at "
            f"{percent(found['level'])} % confidence"
        ),
        columns=_CUTS,
        rows=tuple(_rows(found)),
        things="cuts",
    )
    return Content(tuple(facts), (table,))


def _rows(found: Any) -> list[dict[str, str]]:
    differences = {row["cut"]: row for row in found["differences"]}
    rows = []
    for cut in sorted(found["cuts"], key=lambda row: float(row["mean"])):
        against = differences.get(cut["cut"])
        rows.append(
            {
                "cut": cut["cut"],
                "mean": seconds(cut["mean"]),
                "low": _limit(cut["low"]),
                "high": _limit(cut["high"]),
                "difference": "" if against is None else seconds(against["mean"]),
                "between": ""
                if against is None
                else f"{_limit(against['low'])} and {_limit(against['high'])}",
            }
        )
    return rows


def _limit(value: float | None) -> str:
    return "unknown" if value is None else seconds(value)
