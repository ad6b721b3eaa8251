"""What the papers say about the schemes, checked against the runs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.papers.tables import Table
from benchmarks.training.figures import TARGET, rounds_to, seconds_of, smoothed
from benchmarks.training.runs import Runs
from benchmarks.training.settings import FIGURE_5, Case
from benchmarks.training.splitfed import SETTINGS, best

NEARLY = 0.03
"""By how much accuracies may differ and be "nearly the same"."""


class Check(NamedTuple):
    """A statement, what the runs say, and whether they agree."""

    statement: str
    found: str
    holds: bool


def checks(runs: Runs) -> list[Check]:
    """All checks."""
    return [*_by_round(runs), *_by_time(runs), *_splitfed(runs)]


def checks_table(found: list[Check]) -> Table:
    """Write the checks as a table."""
    rows = [[check.statement, check.found, "yes" if check.holds else "NO"] for check in found]
    return Table("checks", ("statement", "found", "holds"), rows)


def _by_round(runs: Runs) -> list[Check]:
    """Compare by round: CL, SL and CPSL end close together, FL is far slower."""
    mean = {}
    last = {}
    for case in FIGURE_5.cases:
        _, accuracy = runs.accuracy(FIGURE_5.name, case.name)
        mean[case.name] = accuracy.mean(axis=1)
        last[case.name] = smoothed(accuracy)[:, -1]
    ends = {name: float(values.mean()) for name, values in last.items()}
    away = max(ends["cl"], ends["sl"]) - ends["cpsl-5"]
    others = np.min([last[name] for name in ("cl", "sl", "cpsl-5")], axis=0)
    behind = others - last["fl"]
    order = ("cl", "sl", "cpsl-5", "fl")
    means = [float(mean[name].mean()) for name in order]
    sl, cpsl = (rounds_to(*runs.accuracy(FIGURE_5.name, name)) for name in ("sl", "cpsl-5"))
    return [
        Check(
            "by round, centralized comes first, then SL, CPSL, FL (mean accuracy of all tests)",
            ", ".join(f"{value:.3f}" for value in means),
            means == sorted(means, reverse=True),
        ),
        Check(
            f"CPSL ends nearly where centralized and SL do (within {NEARLY})",
            f"{away:.3f} below the better one",
            away <= NEARLY,
        ),
        Check(
            f"FL ends behind all of them in every seed, by more than {NEARLY}",
            f"{behind.min():.3f} to {behind.max():.3f} behind",
            bool((behind > NEARLY).all()),
        ),
        Check(
            f"CPSL takes more rounds than SL to {TARGET:.2f} (the paper: about twice as many)",
            f"{cpsl:.0f} and {sl:.0f}: {cpsl / sl:.2f} times" if cpsl and sl else "not reached",
            bool(cpsl and sl and cpsl > sl),
        ),
    ]


def _by_time(runs: Runs) -> list[Check]:
    """Compare by predicted time: CPSL first."""
    needed = {}
    for name in ("sl", "cpsl-5", "fl"):
        case = _case(name)
        rounds, seconds = rounds_to(*runs.accuracy(FIGURE_5.name, name)), seconds_of(case)
        assert seconds is not None
        needed[name] = FIGURE_5.rounds * seconds if rounds is None else rounds * seconds
    return [
        Check(
            f"by predicted time CPSL is at {TARGET:.2f} before SL and FL",
            f"{needed['cpsl-5']:.0f} s, SL {needed['sl']:.0f} s, FL after {needed['fl']:.0f} s",
            needed["cpsl-5"] < min(needed["sl"], needed["fl"]),
        )
    ]


def _splitfed(runs: Runs) -> list[Check]:
    found = []
    for setting in SETTINGS:
        means = {
            case.name: float(np.mean(best(runs, setting, case.name))) for case in setting.cases
        }
        lowest = min(means, key=lambda name: means[name])
        above = max(means.values()) - means["normal"]
        found += [
            Check(
                f"{setting.data}: the distributed schemes perform well (within 5 points of normal)",
                f"the lowest, {lowest}, {means['normal'] - means[lowest]:.1f} below",
                means["normal"] - means[lowest] <= 5,
            ),
            Check(
                f"{setting.data}: no scheme is more than a point above normal learning",
                f"{above:.1f} above",
                above <= 1,
            ),
            _equal(runs, setting.name),
        ]
    return found


def _equal(runs: Runs, setting: str) -> Check:
    """SplitFedV1 is FedAvg of the whole model, whatever is printed about the two."""
    _, fl = runs.accuracy(setting, "fl")
    _, v1 = runs.accuracy(setting, "sflv1")
    differ = int((fl != v1).sum())
    return Check(
        f"{setting}: SplitFedV1 learns exactly what FL learns",
        f"{differ} of {fl.size} tests differ",
        differ == 0,
    )


def _case(name: str) -> Case:
    return next(case for case in FIGURE_5.cases if case.name == name)
