"""What MP-SL claims, beside its replay."""

from __future__ import annotations

from pathlib import Path

from benchmarks.papers.claims import CLOSE, Claim, Results, not_tried, number, statement
from benchmarks.papers.mp_sl.costs import CLAIMS
from benchmarks.papers.mp_sl.exchange import RATES
from benchmarks.papers.mp_sl.machines import PAPER
from benchmarks.papers.mp_sl.memory import PAPER_GB
from benchmarks.papers.mp_sl.mixed import PAPER_SPLIT_NN
from benchmarks.papers.mp_sl.owners import PAPER_ERROR
from benchmarks.papers.mp_sl.shares import PAPER_SAVED
from benchmarks.papers.mp_sl.splits import PAPER_GAIN, PAPER_HOP

_MODELS = ("resnet101", "vgg19")


def claims(folder: Path) -> list[Claim]:
    """Return the claims, from the tables in the folder."""
    found = Results(folder)
    return [*_pipelines(found), *_owners(found), *_machines(found), *_left_out()]


def _pipelines(found: Results) -> list[Claim]:
    hops = [float(text) for _, text in found.column("figure-12", "1 to 2")]
    return [
        number(
            "abstract",
            "memory for VGG-19 and 100 owners, GB (outputs)",
            PAPER_GB,
            found.value("memory", "`outputs`", "here"),
            digits=1,
        ),
        number(
            "abstract",
            "the same with what training keeps, GB",
            PAPER_GB,
            found.value("memory", "`momentum`", "here"),
            digits=1,
        ),
        number(
            "Fig. 11",
            "optimal split saves, ResNet-101, up to %",
            PAPER_GAIN["resnet101"],
            found.value("figure-11", "resnet101, cuts (2, 35)", "N = 4"),
            best=found.value("figure-11", "resnet101, largest", "N = 4"),
            digits=1,
        ),
        number(
            "Fig. 11",
            "optimal split saves, VGG-19, up to %",
            PAPER_GAIN["vgg19"],
            found.value("figure-11", "vgg19, largest", "N = 3"),
            best=found.value("figure-11", "vgg19, largest", "N = 4"),
            digits=1,
        ),
        number("Fig. 12", "the first hop saves up to %", PAPER_HOP, max(hops), digits=1),
    ]


def _owners(found: Results) -> list[Claim]:
    saved = found.value("figure-1", "vgg19, cuts (2, 23), `outputs`", "saved, %")
    at = "the paper's at, MB/s"
    rates = [found.value("figure-13b", model, at) for model in _MODELS]
    errors = [
        found.value("figure-9", f"{model}, mean absolute", "Eq. 4 to simulation")
        for model in _MODELS
    ]
    slow = [
        found.value("figure-10", f"N = {nodes}, (0, 30)", "simulated, s")
        - found.value("figure-10", f"N = {nodes}, (30, 0)", "simulated, s")
        for nodes in (2, 3)
    ]
    pipelines = [
        float(found.cell("figure-13b", model, column))
        for model in _MODELS
        for column in ("MP-SL N = 1", "N = 2", "N = 3")
    ]
    return [
        number("Fig. 1", "an owner saves up to % of its memory", PAPER_SAVED, saved, digits=0),
        statement(
            "Fig. 9",
            "Eq. 4 is off by at most 3.86 % on average",
            f"by {errors[0]:.2f} % (ResNet-101) and {errors[1]:.2f} % (VGG-19) of a simulation",
            [error <= max(PAPER_ERROR.values()) for error in errors],
        ),
        statement(
            "Fig. 10",
            "slow owners do not lengthen an epoch of 30 owners",
            f"by {slow[0]:.2f} and {slow[1]:.2f} s",
            [seconds < 1 for seconds in slow],
            "0.062 and 0.08 s",
        ),
        number(
            "Fig. 13a",
            "slow owners lengthen SplitNN by %, ResNet-101",
            30.0,
            found.value("figure-13a", "resnet101", "SplitNN"),
            digits=1,
        ),
        statement(
            "Fig. 13b",
            "slow links lengthen SplitNN, ResNet-101 and VGG-19",
            f"both at one rate that is not printed, {min(rates):.0f} to {max(rates):.0f} MB/s",
            [max(rates) / min(rates) - 1 <= CLOSE],
            " and ".join(f"{by:.0f} %" for by in PAPER_SPLIT_NN.values()),
        ),
        statement(
            "Fig. 13b",
            "slow links lengthen MP-SL by at most 6 %",
            f"by at most {max(pipelines):.2f} %",
            [gain <= 6 for gain in pipelines],
        ),
    ]


def _longer(found: Results, model: str, nodes: int) -> list[bool]:
    """Return whether horizontal scaling takes longer at the slowest rate, and at Fig. 13b's."""
    table, row = "figure-14-exchange", f"{model}, N = {nodes}"
    most = float(found.cell(table, row, f"{min(RATES) / 1e6:g} MB/s").split(",")[0])
    other = found.value("figure-13b", model, "the paper's at, MB/s")
    return [most > 1, found.value(table, row, "pipeline ever faster below, MB/s") > other]


def _machines(found: Results) -> list[Claim]:
    exchange = "figure-14-exchange"
    rate = "the paper's ratio at, MB/s"
    below = "pipeline ever faster below, MB/s"
    return [
        *(
            statement(
                "Fig. 14",
                f"horizontal scaling takes longer, {model}, N = {nodes}",
                f"at {found.cell(exchange, f'{model}, N = {nodes}', rate)} MB/s between nodes; "
                f"never above {found.cell(exchange, f'{model}, N = {nodes}', below)} MB/s",
                _longer(found, model, nodes),
                f"{printed:g} times",
            )
            for (model, nodes), printed in PAPER.items()
        ),
        *(
            number(
                "section 6.2",
                f"machines {'-'.join(map(str, claim.mix))} save, {claim.model}, %",
                claim.saved_percent,
                found.value(
                    "figure-14-costs",
                    f"{claim.model}, {'-'.join(map(str, claim.mix))}",
                    "saving here, %",
                ),
                digits=1,
            )
            for claim in CLAIMS
        ),
    ]


def _left_out() -> list[Claim]:
    return [
        not_tried("Fig. 8", "seconds that Gurobi takes", "ratios in one run: see Figure 8"),
        not_tried("section 6.1", "the testbed", "a simulation stands in for it"),
    ]
