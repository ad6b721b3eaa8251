"""What CPSL and SplitFed claim of training, as ``python -m benchmarks.training`` found it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.papers.claims import Claim, Results, not_tried, number, statement

RESULTS = Path(__file__).parents[1] / "training" / "results"
SPLITFED = Path(__file__).parent / "splitfed" / "results"


def cpsl_training_claims() -> list[Claim]:
    """Return the claims of CPSL's Fig. 5 and 6."""
    found = Results(RESULTS)
    order = "by round, centralized"
    time = "by predicted time CPSL"
    rounds = found.cell("checks", "CPSL takes more rounds", "found")
    seconds = {
        name: float(text) for name, text in found.column("figure-6", "seconds to 0.80") if text
    }
    return [
        statement(
            "Fig. 5(a)",
            "centralized, SL, CPSL, FL learn in this order by round (small network)",
            found.cell("checks", order, "found"),
            [found.cell("checks", order, "holds") == "yes"],
        ),
        number(
            "Fig. 5(a)",
            "CPSL takes twice the rounds of SL",
            2.0,
            float(rounds.partition(": ")[2].split()[0]),
        ),
        statement(
            "Fig. 5(b)",
            "by time CPSL is first",
            found.cell("checks", time, "found"),
            [found.cell("checks", time, "holds") == "yes"],
        ),
        statement(
            "Fig. 6",
            "clusters of 5 are the fastest to an accuracy",
            ", ".join(f"{name}: {value:.0f} s" for name, value in seconds.items()),
            [min(seconds, key=lambda name: seconds[name]) == "5"],
        ),
    ]


def splitfed_claims() -> list[Claim]:
    """Return the claims of SplitFed's Table 5, and what of the paper is not replayed."""
    found = Results(RESULTS)
    data = "fashion-mnist"
    same = f"table-5-{data}: SplitFedV1"
    printed = {
        name: float(found.cell("table-5", "Fashion-MNIST, LeNet", name))
        for name in ("normal", "FL", "SL", "SFLV1", "SFLV2")
    }
    here = {name: found.value("table-5", f"{data}, small", name) for name in printed}
    return [
        statement(
            "Table 5",
            "FL learns better than SFLV1 (Fashion-MNIST)",
            found.cell("checks", same, "found") + ": they are one algorithm",
            [here["FL"] > here["SFLV1"]],
            f"by {printed['FL'] - printed['SFLV1']:.1f} points",
        ),
        statement(
            "Table 5",
            "normal learning is ahead of all others by a point (Fashion-MNIST)",
            f"by {here['normal'] - max(v for k, v in here.items() if k != 'normal'):.1f} points",
            [all(here["normal"] - v >= 0.8 for k, v in here.items() if k != "normal")],
            f"by {printed['normal'] - printed['FL']:.1f} to "
            f"{printed['normal'] - printed['SFLV1']:.1f} points",
        ),
        *splitfed_figures(),
    ]


def splitfed_figures() -> list[Claim]:
    """Return the claims of SplitFed's Fig. 2 to 5, of which some hold in miniature."""
    found = Results(SPLITFED)
    table = "figures-2-to-4"
    schemes = ("FL", "SL", "SFLV1", "SFLV2")
    few, many = (
        {name: _first(found.column(table, f"{users} users"), f"iid, {name}") for name in schemes}
        for users in (5, 50)
    )
    cost = found.value("figure-5-accounts", "1,024", "epsilon of sigma 1.3")
    return [
        statement(
            "Fig. 3",
            "the number of users has a negligible effect in every scheme (5 to 50 here)",
            ", ".join(f"{name} {few[name]:.1f} to {many[name]:.1f} %" for name in schemes),
            [abs(many[name] - few[name]) <= 3.0 for name in schemes],
            "5 to 100 users",
        ),
        statement(
            "Fig. 3",
            "SL and SFLV2 are ahead of FL and SFLV1 after as many rounds (50 users here)",
            ", ".join(f"{name} {many[name]:.1f} %" for name in schemes),
            [many[a] > many[b] for a in ("SL", "SFLV2") for b in ("FL", "SFLV1")],
            "77, 77 against 74, 75 %",
        ),
        number("Fig. 5", "epsilon' of sigma 1.3 at batch 1,024", 0.5, cost, digits=1),
        not_tried("Fig. 2", "accuracy by round on HAM10000 and CIFAR-10", "in miniature only"),
    ]


def _first(rows: list[tuple[str, str]], name: str) -> float:
    """Return the mean of the row of exactly this name."""
    return float(next(text for row, text in rows if row == name).split()[0])
