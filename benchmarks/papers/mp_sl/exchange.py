"""Section 4.3: horizontal scaling that pays for averaging its copies of the middle part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.papers.mp_sl.horizontal import horizontal_aggregation_time
from benchmarks.papers.mp_sl.machines import CUTS, PAPER, Mix, mixes
from benchmarks.papers.mp_sl.settings import profile
from benchmarks.papers.tables import Cell, Table

RATES = (1.25e6, 5e6, 12.5e6, 125e6)
"""Rates in byte/s of the links between the nodes and the aggregator; the paper prints none."""


def middle_bytes(model: str) -> float:
    """Compute the bytes of the part that every node holds, between the cuts."""
    size = profile(model).device_model_bytes
    first, last = CUTS[model]
    return float(size[last - 1] - size[first - 1])


def exchange_s(model: str, nodes: int, rate: float) -> float:
    """Compute the s for which nodes exchange the middle part through the aggregator.

    As T_aggr has it for owners: one average upload, then all downloads one after the other.
    """
    once = np.full(nodes, middle_bytes(model) / rate)
    nothing = np.zeros(1)
    return float(horizontal_aggregation_time(nothing, once, 0.0, nothing, once))


@dataclass(frozen=True)
class Setting:
    """All mixes of so many machines for a model."""

    model: str
    nodes: int

    @property
    def mixes(self) -> tuple[Mix, ...]:
        """Return the mixes with their epochs."""
        return mixes(self.model, self.nodes)

    def ratios(self, rate: float) -> list[float]:
        """Compute the epoch of horizontal scaling over that of the pipeline, for every mix."""
        extra = exchange_s(self.model, self.nodes, rate)
        return [(mix.exact_s + extra) / mix.pipeline_s for mix in self.mixes]

    def rate_for(self, ratio: float) -> float:
        """Compute the rate in byte/s at which the largest quotient over the mixes is `ratio`.

        The exchange takes c / rate, so that a mix has the quotient at rate c / (ratio pipeline -
        horizontal); the largest of these rates is that of the first mix to have it.
        """
        work = exchange_s(self.model, self.nodes, 1.0)
        return max(work / (ratio * mix.pipeline_s - mix.exact_s) for mix in self.mixes)


def exchange_table() -> Table:
    """Return how the schemes compare by the nodes' rate, and the rates at which that changes."""
    rows: list[list[Cell]] = []
    for model in CUTS:
        for nodes in (4, 5):
            setting = Setting(model, nodes)
            cells: list[Cell] = []
            for rate in RATES:
                found = setting.ratios(rate)
                faster = sum(ratio > 1 for ratio in found)
                cells.append(f"{max(found):.3f}, {faster} of {len(found)}")
            printed = PAPER.get((model, nodes))
            at_paper = None if printed is None else f"{setting.rate_for(printed) / 1e6:.2f}"
            cells += [f"{setting.rate_for(1.0) / 1e6:.1f}", at_paper]
            rows.append([f"{model}, N = {nodes}", *cells])
    head = ["setting", *(f"{rate / 1e6:g} MB/s" for rate in RATES)]
    head += ["pipeline ever faster below, MB/s", "the paper's ratio at, MB/s"]
    note = (
        "Fig. 14 with the exchange of section 4.3: epoch of horizontal scaling (exact division) "
        "over that of the optimal pipeline, the largest over the mixes and for how many of them "
        "the pipeline is faster, by the rate of the links between nodes and aggregator. The "
        "owners' own aggregation is the same in both and left out."
    )
    return Table("figure-14-exchange", head, rows, note)
