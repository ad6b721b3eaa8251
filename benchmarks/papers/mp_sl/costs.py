"""The text on Fig. 14: what cheaper machines are said to save, and what their prices allow."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.papers.mp_sl.machines import Mix, mixes
from benchmarks.papers.mp_sl.settings import MACHINES
from benchmarks.papers.tables import Cell, Table


class Claim(NamedTuple):
    """A mix of Table 2's machines by number, with the printed delay and saving against vm1."""

    model: str
    mix: tuple[int, ...]
    delay: float
    saved_percent: float


CLAIMS = (
    Claim("resnet101", (1, 1, 1, 3), 1.2, 22),
    Claim("resnet101", (1, 1, 2, 3), 1.4, 60),
    Claim("vgg19", (1, 1, 2, 3), 1.4, 55),
    Claim("resnet101", (1, 1, 3, 3, 3), 1.5, 55),
)


def saved(prices: float, reference: float, delay: float) -> float:
    """Compute the % of the cost that a mix saves: rent is price by time."""
    return 100 * (1 - prices * delay / reference)


def _price(mix: tuple[int, ...]) -> float:
    return sum(MACHINES[f"vm{number}"][1] for number in mix)


def _mix(claim: Claim, machines: tuple[int, ...]) -> Mix:
    names = tuple(f"vm{number}" for number in machines)
    return next(mix for mix in mixes(claim.model, len(machines)) if mix.machines == names)


def costs_table() -> Table:
    """Return each claim beside its own arithmetic and the pipelines here."""
    rows: list[list[Cell]] = []
    for claim in CLAIMS:
        price, reference = _price(claim.mix), _price((1,) * len(claim.mix))
        here = _mix(claim, claim.mix).pipeline_s / _mix(claim, (1,) * len(claim.mix)).pipeline_s
        label = "-".join(map(str, claim.mix))
        rows.append(
            [
                f"{claim.model}, {label}",
                claim.delay,
                claim.saved_percent,
                saved(price, reference, claim.delay),
                saved(price, reference, 1.0),
                here,
                saved(price, reference, here),
            ]
        )
    head = ["machines", "printed delay", "printed saving, %", "saving at the printed delay, %"]
    head += ["saving at no delay, %", "delay here", "saving here, %"]
    note = (
        "The text on Fig. 14, against the same number of vm1: rent is the price of Table 2 by the "
        "time. With only vm3, which is four times as cheap and half as fast, "
        f"{saved(_price((3,)), _price((1,)), 2.0):.1f} % are saved."
    )
    return Table("figure-14-costs", head, rows, note)
