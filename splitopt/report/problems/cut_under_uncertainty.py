"""The report of a `CutUnderUncertainty` plan: the cut, how rounds spread, how sure that is."""

from __future__ import annotations

from typing import Any

from splitopt.plans import Plan
from splitopt.report.content import Column, Content, Table
from splitopt.report.numbers import duration, percent, seconds

_CUTS = (
    Column("cut", "Cut", text=True),
    Column("what", "Against the chosen", text=True),
    Column("mean", "Seconds more, estimate"),
    Column("low", "at least"),
)


def content(plan: Plan) -> Content:
    """Report the prediction as facts and a table of cuts."""
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
    if found is None or "value" not in found:  # none, or a plan of an older version
        return Content(tuple(facts), ())
    value = found["value"]
    between = f"{seconds(value['low'])} to {seconds(value['high'])} s"
    sure = f"{percent(found['level'])} %"
    if found["status"] == "exact":
        facts.append((f"Choice over {found['over']}", "exact"))
        facts.append(("Objective of the cut, over these rounds", between))
    else:
        if len(prediction["confidence"]["differences"]):
            bound = f"{seconds(found['gap']['bound_s'])} s"
            facts.append((f"Above the best cut at most, at {sure} confidence", bound))
        facts.append((f"Objective of the cut, at {sure} confidence", between))
        facts.append(("Longest round of the distribution", f"{seconds(found['worst_round_s'])} s"))
    if not found["differences"]:
        return Content(tuple(facts), ())
    rounds_seen = found["rounds"]
    table = Table(
        heading="The cuts on the same rounds",
        caption=(
            f"{rounds_seen['cheap']:,} rounds with bounds, {rounds_seen['answered']:,} of them "
            f"answered exactly; of {found['over']}"
        ),
        columns=_CUTS,
        rows=tuple(_rows(found)),
        things="cuts",
    )
    return Content(tuple(facts), (table,))


def _rows(found: Any) -> list[dict[str, str]]:
    rows = [{"cut": found["cut"], "what": "chosen", "mean": "", "low": ""}]
    for other in sorted(found["differences"], key=lambda row: float(row["low"])):
        near = other["cut"] in found["as_good_as"]
        word = "not told apart" if found["status"] == "open" else "as good as it"
        rows.append(
            {
                "cut": other["cut"],
                "what": word if near else "worse",
                "mean": "bounds were enough" if other["mean"] is None else seconds(other["mean"]),
                "low": seconds(other["low"]),
            }
        )
    return rows
