"""Every common cut under the latency formula of the scheme: there are as many as layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.problems.common_cut import CommonCut
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver


@dataclass(frozen=True)
class Enumerate(Solver[CommonCut]):
    """Try every cut that all devices and the server can take, with the best shares for each."""

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "common_cut"
    objectives: ClassVar[frozenset[str]] = frozenset(CommonCut.objectives)
    kind: ClassVar[Kind] = "exact"

    def run(self, problem: CommonCut, search: Search) -> StopReason:
        """Propose every cut; the least of their rounds is the bound."""
        least = np.inf
        for cut in (np.flatnonzero(problem.possible) + 1).tolist():
            if search.iterations and (reason := search.stop()) is not None:
                return reason
            search.iterations += 1
            least = min(least, search.propose(problem.complete(cut)))
        search.prove(least)
        return "proved"
