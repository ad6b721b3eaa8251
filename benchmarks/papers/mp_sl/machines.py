"""Fig. 14: one pipeline or horizontal scaling on every mix of virtual machines, delay and cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import numpy as np

from benchmarks.papers.mp_sl.settings import (
    BATCHES,
    LOCAL_EPOCHS,
    MACHINES,
    middle_bytes,
    pipeline,
)
from benchmarks.papers.tables import Cell, Table
from splitopt import solve
from splitopt.latency.horizontal import horizontal_aggregation_time
from splitopt.latency.pipeline import rent

OWNERS = 150
CUTS = {"resnet101": (2, 35), "vgg19": (2, 23)}
PAPER = {("resnet101", 5): 1.4, ("vgg19", 5): 1.62}
EXCHANGE_RATES = (5e6, 12.5e6, 125e6)
"""Of a node's link to the aggregator, byte/s; the paper prints none."""
PER_OWNER = BATCHES * LOCAL_EPOCHS


@dataclass(frozen=True)
class Mix:
    """One mix of machines: epochs in s of the pipeline and of horizontal scaling."""

    machines: tuple[str, ...]
    pipeline_s: float
    proportional_s: float
    exact_s: float

    @property
    def price(self) -> float:
        """USD per hour."""
        return sum(MACHINES[name][1] for name in self.machines)

    def cost(self, epoch_s: float) -> float:
        """USD for an epoch."""
        return float(rent(epoch_s, np.array([MACHINES[name][1] for name in self.machines])))


@cache
def mixes(model: str, nodes: int) -> tuple[Mix, ...]:
    """Evaluate every mix of so many machines, without limits of memory, as the paper must have."""
    return tuple(
        _evaluate(model, names) for names in combinations_with_replacement(MACHINES, nodes)
    )


def _evaluate(model: str, names: tuple[str, ...]) -> Mix:
    slow = [MACHINES[name][0] for name in names]
    question = pipeline(model, CUTS[model], slow, OWNERS, "epoch")
    busy = (question.forward_s + question.backward_s).sum(axis=1)
    return Mix(
        names,
        solve(question, "subset_dp").objective,
        float((PER_OWNER * proportional(busy) * busy).max()),
        exact_division(busy),
    )


def proportional(busy: np.ndarray) -> np.ndarray:
    """Divide the owners by the nodes' speed, shape (N,), rounded by largest remainders."""
    wanted = OWNERS * (1 / busy) / (1 / busy).sum()
    share = np.floor(wanted).astype(int)
    rest = np.argsort(share - wanted, kind="stable")[: OWNERS - share.sum()]
    share[rest] += 1
    return share


def exact_division(busy: np.ndarray) -> float:
    """Give the least epoch of horizontal scaling: owner after owner to the node that ends first."""
    share = np.zeros(len(busy), dtype=int)
    for _ in range(OWNERS):
        share[np.argmin((share + 1) * busy)] += 1
    return float((PER_OWNER * share * busy).max())


def comparison_table() -> Table:
    """Say how the schemes compare over all mixes."""
    rows: list[list[Cell]] = []
    for model in CUTS:
        for nodes in (4, 5):
            found = mixes(model, nodes)
            slower = [mix.exact_s / mix.pipeline_s for mix in found]
            fair = [mix.proportional_s / mix.pipeline_s for mix in found]
            wins = sum(value > 1 for value in slower)
            paper = PAPER.get((model, nodes))
            rows.append(
                [
                    f"{model}, N = {nodes}",
                    paper,
                    max(fair),
                    max(slower),
                    min(slower),
                    f"{wins} of {len(found)}",
                ]
            )
    head = [
        "setting",
        "paper: largest",
        "proportional: largest",
        "exact: largest",
        "exact: least",
        "pipeline faster",
    ]
    question = pipeline("vgg19", CUTS["vgg19"], [1.0], OWNERS)
    need = OWNERS * float(question.layer_memory_bytes.sum()) / 1e9
    most = 5 * max(memory for _, _, memory in MACHINES.values()) / 1e9
    note = (
        f"Fig. 14: epoch of horizontal scaling over that of the optimal pipeline, {OWNERS} owners, "
        "every mix of the machines of Table 2, by division of the owners, without the exchange of "
        "the middle parts that horizontal scaling needs. Memory is not limited: "
        f"by the paper's own count the middle part of VGG-19 takes {need:.1f} GB for all owners, "
        f"more than the {most:.0f} GB of the largest mix."
    )
    return Table("figure-14", head, rows, note, 3)


def exchange_s(model: str, nodes: int, bytes_per_s: float) -> float:
    """Return the s in which horizontal scaling averages the middle parts (section 4.3).

    With one pipeline every middle part is at one node, and nothing is sent.
    """
    moved = np.full(nodes, middle_bytes(model, CUTS[model]) / bytes_per_s)
    return float(horizontal_aggregation_time(0.0, moved, 0.0, 0.0, moved))


def exchange_table() -> Table:
    """Report from which rate between the nodes on a pipeline is the faster scheme."""
    rows: list[list[Cell]] = []
    for model in CUTS:
        for nodes in (4, 5):
            found, paper = mixes(model, nodes), PAPER.get((model, nodes))
            moved = exchange_s(model, nodes, 1.0)  # byte: seconds at one byte a second
            limits = [moved / (mix.pipeline_s - mix.exact_s) / 1e6 for mix in found]
            row: list[Cell] = [f"{model}, N = {nodes}", moved / 1e6]
            for rate in EXCHANGE_RATES:
                added = exchange_s(model, nodes, rate)
                ratios = [(mix.exact_s + added) / mix.pipeline_s for mix in found]
                wins = sum(ratio > 1 for ratio in ratios)
                row += [max(ratios), f"{wins} of {len(found)}"]
            row += [min(limits), max(limits), paper]
            alike = [moved / (paper * m.pipeline_s - m.exact_s) for m in found] if paper else []
            rows.append([*row, max(alike) / 1e6 if alike else None])
    shown = [f"{rate / 1e6:g} MB/s" for rate in EXCHANGE_RATES]
    head = ["setting", "exchanged MB"]
    head += [text for rate in shown for text in (f"{rate}: largest", f"{rate}: pipeline faster")]
    head += ["all below MB/s", "some below MB/s", "paper: largest", "its MB/s"]
    note = (
        "Fig. 14 with the exchange of section 4.3: nodes that scale horizontally send their middle "
        "parts to the aggregator and receive the average, one after the other. Epoch of horizontal "
        "scaling (exact division) over that of the pipeline by the rate of the nodes; the rates "
        "below which the pipeline is faster in all mixes and in some; and the rate at which the "
        "largest ratio is the paper's."
    )
    return Table("figure-14-exchange", head, rows, note, 3)


def pareto_table() -> Table:
    """Give the mixes that no other beats in delay and cost, the pipeline's optimum on each."""
    rows: list[list[Cell]] = []
    for model in CUTS:
        for nodes in (4, 5):
            least = math.inf
            for mix in sorted(mixes(model, nodes), key=lambda m: (m.pipeline_s, m.price)):
                cost = mix.cost(mix.pipeline_s)
                if cost < least * (1 - 1e-9):
                    least = cost
                    label = " + ".join(mix.machines)
                    rows.append(
                        [
                            f"{model}, N = {nodes}: {label}",
                            mix.pipeline_s,
                            cost,
                            mix.exact_s,
                            mix.cost(mix.exact_s),
                        ]
                    )
    head = ["mix", "pipeline s", "pipeline USD", "horizontal s", "horizontal USD"]
    note = (
        "Fig. 14: mixes that no other mix of as many machines beats in the pipeline's delay and "
        "cost of an epoch; beside them horizontal scaling on the same machines (exact division)."
    )
    return Table("figure-14-pareto", head, rows, note, 3)


def memory_count_table() -> Table:
    """Count the mixes that hold the layers of all owners, by the paper's count of memory."""
    rows: list[list[Cell]] = []
    for model in CUTS:
        for nodes in (4, 5):
            found = [
                _holds(model, names) for names in combinations_with_replacement(MACHINES, nodes)
            ]
            rows.append(
                [
                    f"{model}, N = {nodes}",
                    f"{sum(one for one, _ in found)} of {len(found)}",
                    f"{sum(many for _, many in found)} of {len(found)}",
                ]
            )
    note = (
        f"Mixes of Table 2's machines that hold all layers between the cuts for {OWNERS} owners "
        "within their memory (parameters and outputs)."
    )
    return Table("figure-14-memory", ["setting", "one pipeline", "horizontal"], rows, note)


def _holds(model: str, names: tuple[str, ...]) -> tuple[bool, bool]:
    """Whether a mix can host one pipeline, and whether it can host horizontal scaling."""
    slow = [MACHINES[name][0] for name in names]
    memory = [MACHINES[name][2] for name in names]
    question = pipeline(model, CUTS[model], slow, OWNERS, "epoch", memory)
    one = solve(question, "subset_dp").is_feasible
    whole = float(question.layer_memory_bytes.sum())
    return one, sum(int(size // whole) for size in memory) >= OWNERS
