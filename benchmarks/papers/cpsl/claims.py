"""What CPSL claims, beside its replay."""

from __future__ import annotations

from pathlib import Path

from benchmarks.papers.claims import Claim, Results, number, statement
from benchmarks.papers.cpsl.cells import published
from benchmarks.papers.cpsl.clustering import SPECTRA
from benchmarks.papers.cpsl.convergence import DELTAS
from benchmarks.papers.cpsl.cuts import NETWORKS

_READING = "the same with KB = 1000 B"


def claims(folder: Path) -> list[Claim]:
    """Return the claims, from the tables in the folder."""
    found = Results(folder)
    return [*_network(found), *_rounds(found), *_algorithms(found)]


def _network(found: Results) -> list[Claim]:
    paper, valid = published()["figure_1"], f"`{NETWORKS[0]}`"
    return [
        number(
            "Fig. 1(b)",
            "the whole model, MiB",
            paper["whole_mb"],
            found.value("figure-1", f"{valid}, FL", "MiB sent"),
        ),
        number(
            "Fig. 1(b)",
            "what a device sends at POOL1, MiB",
            paper["pool1_mb"],
            found.value("figure-1", f"{valid}, POOL1", "MiB sent"),
        ),
        number(
            "Fig. 1(b)",
            "work of the whole model, M multiply-adds",
            paper["whole_mflop"],
            found.value("figure-1", f"{valid}, FL", "M multiply-adds"),
        ),
        number(
            "Fig. 1(b)",
            "work of a device at POOL1, M multiply-adds",
            paper["pool1_mflop"],
            found.value("figure-1", f"{valid}, POOL1", "M multiply-adds"),
        ),
    ]


def _rounds(found: Results) -> list[Claim]:
    names = {"cpsl": "CPSL", "sl": "SL", "fl": "FL"}
    best = [found.cell("figure-7", f"`{name}`, C = 30", "best on average") for name in NETWORKS]
    return [
        *(
            number(
                "section VIII-B",
                f"round of {names[key]}, s (nearest reading)",
                seconds,
                found.value("headline", _READING, names[key]),
            )
            for key, seconds in published()["round_s"].items()
        ),
        statement(
            "Fig. 7",
            f"{published()['best_cut']} is the best cut at 30 MHz",
            " and ".join(best) + ", by the padding of the first block",
            [name == published()["best_cut"] for name in best],
        ),
    ]


def _algorithms(found: Results) -> list[Claim]:
    similar, rand = published()["reductions_percent"].values()
    rows = [f"{subcarriers} MHz" for subcarriers in SPECTRA]
    gains = {
        column: [found.value("figure-8", row, column) for row in rows]
        for column in ("against similar", "against random")
    }
    at = found.column("figure-8a", f"delta {DELTAS[0]:g} s")
    above = {swaps: float(text) for swaps, text in at}
    large = found.value("figure-8a", "1,000", f"delta {DELTAS[-1]:g} s")
    trap = found.value("greedy-trap", "5 identical, C = 30: (26", "largest")
    return [
        statement(
            "Fig. 8(a)",
            "Alg. 4 converges to the global optimum after about 1,000 swaps at delta 0.0001",
            f"{above['1,000']:.2f} % above it then, {above['20,000']:.2f} % after 20,000",
            [above["1,000"] < 0.005],
        ),
        statement(
            "Fig. 8(a)",
            "delta 0.01 converges to worse solutions",
            f"{large:.2f} % above the best after 1,000 swaps",
            [large > above["1,000"]],
        ),
        number(
            "Fig. 8(b)",
            "best clusters against similar capability, % shorter",
            similar,
            sum(gains["against similar"]) / len(rows),
            digits=1,
        ),
        number(
            "Fig. 8(b)",
            "best clusters against random clusters, % shorter",
            rand,
            sum(gains["against random"]) / len(rows),
            digits=1,
        ),
        statement(
            "Fig. 8(b)",
            "gains are larger at 10 MHz than at 60 MHz",
            "; ".join(
                f"{name} {found[0]:.1f} and {found[-1]:.1f} %" for name, found in gains.items()
            ),
            [found[0] > found[-1] for found in gains.values()],
        ),
        statement(
            "Alg. 3",
            "greedy subcarriers",
            f"up to {trap:.0f} % above the optimum, on identical devices",
            [trap < 1],
        ),
    ]
