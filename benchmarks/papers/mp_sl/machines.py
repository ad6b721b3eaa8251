"""Fig. 14: one pipeline or horizontal scaling on every mix of virtual machines, delay and cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import numpy as np

from benchmarks.papers.mp_sl.settings import BATCHES, LOCAL_EPOCHS, MACHINES, pipeline
from benchmarks.papers.tables import Cell, Table
from splitopt import solve
from splitopt.latency.pipeline import rent

OWNERS = 150
CUTS = {"resnet101": (2, 35), "vgg19": (2, 23)}
PAPER = {("resnet101", 5): 1.4, ("vgg19", 5): 1.62}
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
    """Return the least epoch of horizontal scaling: each owner goes to the node that ends first."""
    share = np.zeros(len(busy), dtype=int)
    for _ in range(OWNERS):
        share[np.argmin((share + 1) * busy)] += 1
    return float((PER_OWNER * share * busy).max())


def comparison_table() -> Table:
    """Report how the schemes compare over all mixes."""
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
        "every mix of the machines of Table 2, by division of the owners. Memory is not limited: "
        f"by the paper's own count the middle part of VGG-19 takes {need:.1f} GB for all owners, "
        f"more than the {most:.0f} GB of the largest mix."
    )
    return Table("figure-14", head, rows, note, 3)


def pareto_table() -> Table:
    """Return the mixes that no other beats in delay and cost, the pipeline's optimum on each."""
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
