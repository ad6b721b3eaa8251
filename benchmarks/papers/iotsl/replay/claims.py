"""What IoTSL claims of accuracy, beside its trainings in miniature."""

from __future__ import annotations

import math
from itertools import pairwise

from benchmarks.papers.claims import Claim, Results, statement


def trained_claims(found: Results) -> list[Claim]:
    """Return what training in miniature says: directions, not accuracies of larger data."""
    return [*_of_imputation(found), *_of_generators(found), _of_random_classes(found)]


def _of_imputation(found: Results) -> list[Claim]:
    plain = _numbers(found, "figure-12", "split learning: highest")
    imputed = _numbers(found, "figure-12", "imputed: highest")
    gain = [imputed[name] - plain[name] for name in plain]
    two = {name: value for name, value in plain.items() if "2 classes" in name}
    names = [name for name in plain if name.startswith("mnist")]
    return [
        statement(
            "Fig. 12",
            "with two classes on a device split learning fails",
            ", ".join(f"{name.split(',')[0]} {value:.1f} %" for name, value in two.items()),
            [value < 30 for value in two.values()],
            "15.9 and 15.0 %",
        ),
        statement(
            "Fig. 12",
            "the more classes a device has, the better split learning does",
            ", ".join(f"{plain[name]:.1f}" for name in names) + " % on MNIST",
            [
                a < b
                for data in ("mnist", "fashion")
                for own in [[v for name, v in plain.items() if name.startswith(data)]]
                for a, b in pairwise(own)
            ],
        ),
        statement(
            "Fig. 12",
            "imputation helps at 2, 4, 6 and 8 classes",
            f"by {min(gain):.1f} to {max(gain):.1f} points",
            [more > 0 for more in gain],
        ),
    ]


def _of_generators(found: Results) -> list[Claim]:
    made, turns = (
        _numbers(found, "figures-9-10-13", head)
        for head in ("after pre-training", "turns, pre-trained")
    )
    before = _numbers(found, "figures-9-10-13", "turns to target, plain")
    final = _numbers(found, "figures-9-10-13", "highest, pre-trained")
    epsilon = dict(found.column("figures-9-10-13", "epsilon"))
    quiet = [name for name in made if "no noise" in name]
    noisy = {name: name.replace("no noise", "sigma 1.07") for name in quiet}
    return [
        statement(
            "Fig. 9, 10",
            "pre-training reaches a target in fewer turns",
            ", ".join(f"{before[name]:.3g} to {turns[name]:.3g}" for name in quiet),
            [turns[name] < before[name] for name in quiet],
            "97 to 15, 77 to 23",
        ),
        statement(
            "Fig. 13",
            "noise costs accuracy after pre-training, and hardly any in the end",
            "; ".join(
                f"{made[a]:.1f} to {made[b]:.1f} %, then {final[a]:.1f} and {final[b]:.1f} %"
                for a, b in noisy.items()
            ),
            [
                fits
                for a, b in noisy.items()
                for fits in (made[b] < made[a], abs(final[a] - final[b]) < 2)
            ],
        ),
        statement(
            "section IV-D",
            "the generators satisfy differential privacy",
            f"epsilon {float(epsilon[noisy[quiet[0]]]):,.0f} at sigma 1.07, which says nothing",
            [float(epsilon[name]) < 20 for name in noisy.values()],
        ),
    ]


def _of_random_classes(found: Results) -> Claim:
    alone = _numbers(found, "figure-14", "split learning: highest")
    whole = _numbers(found, "figure-14", "IoTSL: highest")
    more = [whole[name] - alone[name] for name in alone]
    return statement(
        "Fig. 14",
        "with random classes and counts IoTSL does better",
        f"by {min(more):.1f} to {max(more):.1f} points in three draws",
        [gain > 0 for gain in more],
    )


def _numbers(found: Results, table: str, column: str) -> dict[str, float]:
    """Return the means of a column by the names of its rows; infinity for what never is."""
    return {name: _mean(text) for name, text in found.column(table, column)}


def _mean(text: str) -> float:
    """Return the mean of a cell: as it stands before its deviation, or of a list of numbers."""
    values = [math.inf if one == "never" else float(one.split()[0]) for one in text.split(", ")]
    return sum(values) / len(values)
