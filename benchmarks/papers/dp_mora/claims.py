"""What DP-MORA claims, beside its replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.papers.claims import CLOSE, Claim, Results, not_tried, number, statement
from benchmarks.papers.dp_mora.lemmas import POINTS, midpoint_gap
from benchmarks.papers.dp_mora.published import published
from benchmarks.papers.dp_mora.regressions import fitted

_SWEEPS = {"figure-6": "server", "figure-7": "uplink", "figure-8": "downlink"}


def claims(folder: Path) -> list[Claim]:
    """Return the claims, from the tables in the folder."""
    found = Results(folder)
    return [*_models(found), *_rounds(found), *_section_6(found), *_left_out()]


def _models(found: Results) -> list[Claim]:
    same = [
        bool(np.allclose(fitted(model, function), entry["curve"], rtol=1e-3))
        for model, functions in published()["regressions"].items()
        for function, entry in functions.items()
    ]
    printed = dict(found.column("table-1", "printed RMSE"))
    errors = dict(found.column("table-1", "RMSE of the fit"))
    right = [abs(float(errors[name]) / float(printed[name]) - 1) <= CLOSE for name in printed]
    return [
        statement(
            "Table 1",
            "coefficients of the regression curves",
            f"{sum(same)} of {len(same)} curves follow from the layers",
            same,
        ),
        statement(
            "Table 1",
            "their errors (RMSE)",
            f"{sum(right)} of {len(right)} within 5 %",
            right,
        ),
    ]


def _rounds(found: Results) -> list[Claim]:
    waits = "largest difference"
    fixed = [found.value("table-2", waits, f"{name} replay") for name in ("SF1AF", "FSAF", "FAAF")]
    published_row, replay = "DP-MORA, published", "DP-MORA, replay"
    best = "makespan optimum"
    text = dict(found.column("reductions-resnet18", "paper's text"))
    here = dict(found.column("reductions-resnet18", "replay"))
    top = dict(found.column("reductions-resnet18", best))
    rounds = "round in 1000 s"
    return [
        statement(
            "Table 2",
            "waits of the schemes without an optimizer",
            f"missed by at most {max(fixed):.2f} thousand s, with settings other than the stated",
            [off < 0.05 for off in fixed],
        ),
        number(
            "Table 2, item 1",
            "DP-MORA's round, ResNet-18, 1000 s",
            found.value("objectives-resnet18", published_row, rounds),
            found.value("objectives-resnet18", replay, rounds),
            best=found.value("objectives-resnet18", best, rounds),
        ),
        *(
            number(
                "section 7.2, item 1",
                f"round shorter than that of {name}, %",
                float(printed),
                float(here[name]),
                best=float(top[name]),
            )
            for name, printed in text.items()
            if printed
        ),
        *(_sweep(figure, over, found) for figure, over in _SWEEPS.items()),
    ]


def _sweep(figure: str, over: str, found: Results) -> Claim:
    """Return the claim of a figure's text: how near the rounds it implies are to the replay's."""
    column = "implied DP-MORA round in 1000 s"
    implied: dict[str, list[float]] = {}
    for name, text in found.column(f"{figure}-text", column):
        implied.setdefault(name.partition(",")[0], []).append(float(text))
    agree = [
        abs(value / sorted(values)[len(values) // 2] - 1) <= CLOSE
        for values in implied.values()
        for value in values
    ]
    return statement(
        f"section 7.2, Fig. {figure[-1]}",
        f"reductions by the {over}",
        f"{sum(agree)} of {len(agree)} per cents agree on one round of DP-MORA within 5 %",
        agree,
    )


def _section_6(found: Results) -> list[Claim]:
    least = [float(text) for _, text in found.column("lemmas", "least % of the true value")]
    gap = midpoint_gap(*POINTS)
    return [
        statement(
            "Eq. 34-36",
            "second derivatives of the objective",
            f"{min(least):.0f} to {max(least):.0f} % of the true ones at least",
            [part >= 100 * (1 - CLOSE) for part in least],
        ),
        statement(
            "section 6.1",
            "P2 is strictly convex",
            f"a point between two is {gap:.0f} s above their mean",
            [gap <= 0],
        ),
    ]


def _left_out() -> list[Claim]:
    at = published()["convergence"]
    return [
        not_tried(
            "Fig. 3, 4",
            f"training converges after {at['DP-MORA']:,} thousand s",
            "trained in miniature only; contradicts Table 2",
        ),
        not_tried(
            "Eq. 13-18",
            "leakage of a cut by gradient inversion",
            "two small networks were attacked, the paper's were not",
        ),
    ]
