"""`enumerate`: every set of senders of every device; the reference for small instances."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.generator_pairing import GeneratorPairing, GeneratorPairingDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver

Senders = tuple[int, ...]


@dataclass(frozen=True)
class Enumerate(Solver[GeneratorPairing]):
    """Exact: all sets of senders of every device and, with caps, all ways to put them together.

    Parameters
    ----------
    max_sets
        Refuse a problem whose devices have more sets of senders than this, all together.
    """

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "generator_pairing"
    objectives: ClassVar[frozenset[str]] = frozenset(GeneratorPairing.objectives)
    kind: ClassVar[Kind] = "exact"

    max_sets: int = 20_000

    def __post_init__(self) -> None:
        check_whole("max_sets", self.max_sets, 1)

    def refusal(self, problem: GeneratorPairing) -> str | None:
        """Reject what would take too long, with its size."""
        exponent = min(problem.devices - 1, 60)
        count = problem.devices * 2**exponent
        if count <= self.max_sets:
            return None
        return f"would look at {count:,} sets of senders, more than max_sets = {self.max_sets:,}"

    def run(self, problem: GeneratorPairing, search: Search) -> StopReason:
        """Try everything, and prove the best value."""
        lists: list[list[tuple[float, Senders]]] = []
        for i in range(problem.devices):
            if reason := search.stop():
                return reason
            lists.append(sorted(_choices(problem, i)))
            search.iterations += len(lists[-1])
        best = _together(problem, lists, search)
        if best is None:
            if reason := search.stop():
                return reason
            raise InfeasibleError("the caps allow no pairing that covers every class; raise them")
        search.propose(GeneratorPairingDecision(tuple(np.array(row) for row in best)))
        if (reason := search.stop()) in ("time", "interrupted"):
            return reason
        search.prove(search.objective)
        return "proved"


def _choices(problem: GeneratorPairing, i: int) -> list[tuple[float, Senders]]:
    """Return the sets of senders that cover what a device lacks, with their costs.

    A set is left out if a part of it does for no more: it only takes sends from others.
    """
    others = [j for j in range(problem.devices) if j != i]
    missing = np.flatnonzero(problem.need[i])
    found: list[tuple[float, Senders]] = []
    for size in range(len(others) + 1):
        for senders in itertools.combinations(others, size):
            got = problem.covers[list(senders)][:, missing].sum(axis=0)
            if (got < problem.need[i, missing]).any():
                continue
            cost, whole = _cost(problem, i, senders), set(senders)
            if not any(known <= cost and whole.issuperset(part) for known, part in found):
                found.append((cost, senders))
    return found


def _cost(problem: GeneratorPairing, i: int, senders: Senders) -> float:
    total, penalty = [float(problem.cost[i, j]) for j in senders], problem.penalty
    if penalty is not None:
        for c in np.flatnonzero(problem.need[i]):
            lacks = sorted(float(penalty[j, c]) for j in senders if problem.covers[j, c])
            total += lacks[: int(problem.need[i, c])]
    return math.fsum(total)


def _together(
    problem: GeneratorPairing, lists: list[list[tuple[float, Senders]]], search: Search
) -> list[Senders] | None:
    """Put choices together within the caps, the cheapest first, depth first."""
    if any(not choices for choices in lists):
        return None
    if problem.limits is None:
        return [choices[0][1] for choices in lists]
    least = [choices[0][0] for choices in lists]
    rest = [math.fsum(least[i:]) for i in range(len(lists) + 1)]
    left, best, answer = problem.limits.copy(), math.inf, None
    path: list[Senders] = []

    def go_on(i: int, spent: float) -> None:
        nonlocal best, answer
        if i == len(lists):
            best, answer = spent, list(path)
            return
        for cost, senders in lists[i]:
            if spent + cost + rest[i + 1] >= best or search.remaining_s <= 0:
                return
            chosen = list(senders)
            if (left[chosen] > 0).all():
                left[chosen] -= 1
                path.append(senders)
                go_on(i + 1, spent + cost)
                path.pop()
                left[chosen] += 1

    go_on(0, 0.0)
    return answer
