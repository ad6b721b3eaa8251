"""`greedy`: Chvatal's rule for every device, with what it proves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.problems.generator_pairing import GeneratorPairing
from splitopt.problems.generator_pairing.completing import greedy_senders
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver


@dataclass(frozen=True)
class Greedy(Solver[GeneratorPairing]):
    """Device after device takes the sender with the least cost per class that it newly covers.

    Without caps the costs of sends are at most H(m) = 1 + 1/2 + ... + 1/m times the least, where m
    is the most missing classes that one generator covers (Chvatal 1979; for several senders per
    class Dobson 1982), so that they over H(m) are a lower bound. Caps only raise the least cost.
    """

    name: ClassVar[str] = "greedy"
    problem: ClassVar[str] = "generator_pairing"
    objectives: ClassVar[frozenset[str]] = frozenset(GeneratorPairing.objectives)
    kind: ClassVar[Kind] = "heuristic"

    def run(self, problem: GeneratorPairing, search: Search) -> StopReason:
        """Propose the pairing and prove the larger of its own bound and the problem's."""
        nobody: list[list[int]] = [[] for _ in range(problem.devices)]
        search.propose(problem.complete(nobody))
        search.prove(problem.bound())
        search.prove(greedy_bound(problem))
        return search.stop() or "converged"


def greedy_bound(problem: GeneratorPairing) -> float:
    """Bound the costs of all devices by what the rule pays without caps, over H(m) of each."""
    total = 0.0
    for i in range(problem.devices):
        missing = np.flatnonzero(problem.need[i])
        if not missing.size:
            continue
        covers = problem.covers[:, missing]
        allowed = np.arange(problem.devices) != i
        chosen = greedy_senders(problem.cost[i], covers, problem.need[i, missing], allowed)
        most = int(covers[allowed].sum(axis=1).max())
        total += float(problem.cost[i, chosen].sum()) / float((1 / np.arange(1, most + 1)).sum())
    return total * (1 - 1e-12)
