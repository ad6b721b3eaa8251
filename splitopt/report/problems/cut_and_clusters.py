"""The report of a `CutAndClusters` plan: where is cut, who trains together, what holds it up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from splitopt.plans import Plan
from splitopt.report.content import Column, Content, Table
from splitopt.report.numbers import seconds
from splitopt.report.problems import cluster_and_spectrum

SHOWS_ROUND = True
"""Whether the page of a plan shows a round as it is simulated."""
SLIDERS = "clusters"
"""What plans anew in the page of a plan, see `splitopt.report.replanning`."""


def content(plan: Plan) -> Content:
    """Report the prediction as facts, tables and a chart."""
    assert plan.prediction is not None  # the caller saw to it
    prediction = plan.prediction
    found = cluster_and_spectrum.content(plan)
    cuts = list(dict.fromkeys(prediction["cuts"]))
    facts = (("Cut" if len(cuts) == 1 else "Cuts", ", ".join(cuts)), *found.facts)
    clusters, *others = found.tables
    tables = [_with_cuts(clusters, prediction["cuts"]), *others]
    if len(prediction["other_cuts"]) > 1:
        tables.append(_other_cuts(prediction["other_cuts"]))
    return replace(found, facts=facts, tables=tuple(tables))


def _with_cuts(clusters: Table, cuts: list[str]) -> Table:
    """Return the table of the clusters with the cut of each."""
    column = Column("cut", "Cut after", text=True)
    rows = tuple({**row, "cut": cut} for row, cut in zip(clusters.rows, cuts, strict=True))
    return replace(clusters, columns=(column, *clusters.columns), rows=rows)


def _other_cuts(cuts: list[Any]) -> Table:
    columns = (Column("cut", "Cut after", text=True), Column("seconds", "SECONDS"))
    rows = tuple({"cut": row["cut"], "seconds": seconds(row["same_clusters_s"])} for row in cuts)
    caption = "The round of the plan's clusters at each cut that all devices may take"
    return Table("Other cuts", caption, columns, rows, "cuts", main=False)
