"""The parallel baselines of DP-MORA section 7.1: a way to choose cuts times a way to share.

==========  ==================================================  =====================
scheme      cuts                                                 shares (AF | PF)
==========  ==================================================  =====================
FedAvg      everything stays on the device                      `faaf` |
FederSplit  one for all: as much to the server as is allowed    `fsaf` | `fspf`
SplitFed3   those of an optimized plan                           `sf3af` | `sf3pf`
==========  ==================================================  =====================

AF shares everything equally, PF in proportion to the devices' weights (their batch sizes). The
sequential baselines are no plans of `CutAndResources`; see `splitopt.latency.sequential`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.problems.cut_and_resources.problem import ChoicesAndResources
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.relaxation import LoadsRelaxation
from splitopt.solvers.cut_and_resources.rules import (
    equal_shares,
    proportional_shares,
    propose_rule,
    without_weights,
)
from splitopt.solvers.registry import solver_class, why_not


class _Baseline(LoadsRelaxation, Solver[CutAndResources]):
    """Chooses the cuts in one way and the shares in another."""

    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndResources.objectives)
    kind: ClassVar[Kind] = "rule"
    proportional: ClassVar[bool] = False

    def refusal(self, problem: CutAndResources) -> str | None:
        """Reject what lacks weights to share by, or a cut that the rule prescribes."""
        if isinstance(problem, ChoicesAndResources):
            return "prescribes cuts, and this problem's choices are none"
        if problem.infeasibility() is not None:
            return None
        lacking = without_weights(problem) if self.proportional else None
        return lacking or self._no_cuts(problem)

    @staticmethod
    def _over(problem: CutAndResources, cuts: IntArray) -> str | None:
        """Name the budgets that prescribed cuts (N,) exceed, None if they keep all."""
        if problem.budgets is None or not (over := problem.budgets.violations(cuts)):
            return None
        return f"prescribes cuts that exceed {' and '.join(over)}"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Propose the one plan of the rule."""
        cuts = self._cuts(problem, search)
        if cuts is None:
            return search.stop() or "converged"
        return propose_rule(problem, search, cuts, self._shares(problem))

    def _shares(self, problem: CutAndResources) -> FloatArray:
        return proportional_shares(problem) if self.proportional else equal_shares(problem)

    def _no_cuts(self, problem: CutAndResources) -> str | None:  # noqa: ARG002 - for subclasses
        """Report why the rule has no cuts for this problem."""
        return None

    @abstractmethod
    def _cuts(self, problem: CutAndResources, search: Search) -> IntArray | None:
        """Return the cuts (N,), 1..L."""


class _FullModel(_Baseline):
    """FedAvg: all layers stay on the devices."""

    def _no_cuts(self, problem: CutAndResources) -> str | None:
        stuck = np.flatnonzero(~problem.allowed[:, -1])
        if not stuck.size:
            return self._over(problem, np.full(problem.devices, problem.layers))
        return (
            f"needs the last cut to be allowed for every device; device {stuck[0]} may not use it"
        )

    def _cuts(self, problem: CutAndResources, search: Search) -> IntArray:  # noqa: ARG002
        return np.full(problem.devices, problem.layers, dtype=np.int64)


class _OneCut(_Baseline):
    """FederSplit: the shallowest cut that is allowed for all devices and keeps all budgets."""

    def _no_cuts(self, problem: CutAndResources) -> str | None:
        if not problem.allowed.all(axis=0).any():
            return "needs a cut that is allowed for every device"
        common = self._common(problem)
        return None if common.size else "needs one cut for all devices that keeps all budgets"

    def _cuts(self, problem: CutAndResources, search: Search) -> IntArray:  # noqa: ARG002
        return np.full(problem.devices, self._common(problem)[0], dtype=np.int64)

    @staticmethod
    def _common(problem: CutAndResources) -> IntArray:
        """Return the cuts, 1..L, that all devices can take together."""
        cuts = np.flatnonzero(problem.allowed.all(axis=0)) + 1
        if problem.budgets is None:
            return cuts
        every = np.repeat(cuts[:, None], problem.devices, axis=1)
        return np.asarray(cuts[problem.budgets.excess(every) == 0])


@dataclass(frozen=True)
class _OptimizedCuts(_Baseline):
    """SplitFed3: the cuts of another solver's plan, or given ones.

    Parameters
    ----------
    cuts
        The name of the solver whose cuts to take (it runs with its default options and the same
        objective), or a cut per device.
    """

    cuts: str | tuple[int, ...] = "exact"

    def __post_init__(self) -> None:
        if isinstance(self.cuts, str):
            if self.cuts == self.name:
                raise InputError.at("cuts", f"is {self.cuts!r}, take the cuts of another solver")
            solver_class(_Baseline.problem, self.cuts)
            return
        try:
            cuts = tuple(int(cut) for cut in self.cuts)
        except (TypeError, ValueError):
            cuts = ()
        if not cuts or cuts != tuple(self.cuts):
            raise InputError.at("cuts", f"is {self.cuts!r}, give a solver's name or whole numbers")
        object.__setattr__(self, "cuts", cuts)

    def _no_cuts(self, problem: CutAndResources) -> str | None:
        if isinstance(self.cuts, str):
            reason = why_not(solver_class(self.problem, self.cuts)(), problem)
            return f"takes the cuts of {self.cuts!r}, which {reason}" if reason else None
        if len(self.cuts) != problem.devices:
            return f"has {len(self.cuts)} cuts for {problem.devices} devices"
        if not all(1 <= cut <= problem.layers for cut in self.cuts):
            return f"has cuts outside 1..{problem.layers}"
        return self._over(problem, np.array(self.cuts, dtype=np.int64))

    def _cuts(self, problem: CutAndResources, search: Search) -> IntArray | None:
        if not isinstance(self.cuts, str):
            return np.array(self.cuts, dtype=np.int64)
        limit = None if search.time_limit_s is None else search.remaining_s
        inner = Search(problem, limit, search.rel_gap, search.seed)
        solver_class(self.problem, self.cuts)().run(problem, inner)
        search.prove(inner.bound)
        found = inner.best
        return found.cut if isinstance(found, CutAndResourcesDecision) else None


@dataclass(frozen=True)
class Faaf(_FullModel):
    """FedAvg with equal shares: the whole model on every device, only models travel."""

    name: ClassVar[str] = "faaf"


@dataclass(frozen=True)
class Fsaf(_OneCut):
    """FederSplit with equal shares: the shallowest cut that is allowed for all."""

    name: ClassVar[str] = "fsaf"


@dataclass(frozen=True)
class Fspf(_OneCut):
    """FederSplit with proportional shares: the shallowest cut that is allowed for all."""

    name: ClassVar[str] = "fspf"
    proportional: ClassVar[bool] = True


@dataclass(frozen=True)
class Sf3af(_OptimizedCuts):
    """SplitFed3 with equal shares: an optimized plan's cuts without its shares."""

    name: ClassVar[str] = "sf3af"


@dataclass(frozen=True)
class Sf3pf(_OptimizedCuts):
    """SplitFed3 with proportional shares: an optimized plan's cuts without its shares."""

    name: ClassVar[str] = "sf3pf"
    proportional: ClassVar[bool] = True
