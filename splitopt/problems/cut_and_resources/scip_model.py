"""`CutAndResources` in PySCIPOpt: the MIQP of the sum or the cone program with shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources.algebraic_model import (
    add_cuts,
    add_shares,
    add_totals,
)
from splitopt.problems.cut_and_resources.data import CutAndResourcesData
from splitopt.problems.cut_and_resources.formulation import (
    Coefficients,
    Formulation,
    choose_formulation,
    share_table,
    table,
)


@dataclass(frozen=True)
class ScipModel(Formulation):
    """A ``pyscipopt.Model``, see the module `formulation` for the maths.

    Add own constraints to `model`, then ``model.optimize()``. SCIP takes only linear objectives, so
    the objective is a variable ``cost`` that bounds it from above.

    Parameters
    ----------
    model
        The ``pyscipopt.Model``, with its output hidden.
    cost
        The objective: the sum of latencies, or the round time.
    x
        Binaries by (device from 0, cut from 1), allowed pairs only.
    total
        ``"miqp"``: sums of roots by resource; empty otherwise.
    share, seconds
        ``"misocp"``: by (device, resource), needed pairs only; empty otherwise.
    latency
        ``"misocp"``: expressions by device; empty otherwise.
    """

    model: Any
    cost: Any
    x: dict[tuple[int, int], Any]
    total: dict[str, Any] = field(default_factory=dict)
    share: dict[tuple[int, str], Any] = field(default_factory=dict)
    seconds: dict[tuple[int, str], Any] = field(default_factory=dict)
    latency: dict[int, Any] = field(default_factory=dict)

    def use_values(self) -> FloatArray | None:
        """Shape (N, L): the values of x in the incumbent, None where there is no incumbent."""
        if self.model.getNSols() == 0:
            return None
        best = self.model.getBestSol()
        values = {key: self.model.getSolVal(best, v) for key, v in self.x.items()}
        return table(self.problem, values)

    def share_values(self) -> FloatArray | None:
        """Shape (N, R): the incumbent's shares, None in the formulation ``"miqp"``."""
        if self.formulation == "miqp" or self.model.getNSols() == 0:
            return None
        best = self.model.getBestSol()
        values = {key: self.model.getSolVal(best, v) for key, v in self.share.items()}
        return share_table(self.problem, values)


class _Scip:
    """The language of `algebraic_model` in PySCIPOpt, whose objectives are linear: a cost."""

    def __init__(self) -> None:
        import pyscipopt

        self.model = pyscipopt.Model("cut_and_resources")
        self.model.hideOutput()
        self.cost: Any = None
        self.total: Callable[..., Any] = pyscipopt.quicksum

    def binary(self, name: str) -> Any:
        """Add a variable that is 0 or 1."""
        return self.model.addVar(name, vtype="B")

    def real(self, name: str, most: float | None = None) -> Any:
        """Add a variable of at least 0."""
        return self.model.addVar(name, lb=0.0, ub=most)

    def row(self, relation: Any, name: str) -> None:
        """Add a constraint."""
        self.model.addCons(relation, name)

    def add_cost(self) -> None:
        """Add the variable that is minimised."""
        self.cost = self.model.addVar("cost", lb=0.0)
        self.model.setObjective(self.cost, "minimize")

    def minimise(self, expression: Any) -> None:
        """Bound the cost by an expression from below."""
        self.model.addCons(expression <= self.cost, "objective")

    def minimised(self) -> Any:
        """Return the cost."""
        return self.cost


def build_scip(problem: CutAndResourcesData, formulation: str | None, unit_s: float) -> ScipModel:
    """Build the model; the documented entry is `CutAndResources.to_scip`."""
    chosen = choose_formulation(problem, formulation)
    numbers = Coefficients.of(problem.plain, unit_s)
    language = _Scip()
    x = add_cuts(language, numbers)
    language.add_cost()
    if chosen == "miqp":
        parts = add_totals(language, x, numbers)
    else:
        # a cone whose variables presolve substitutes is no longer recognised as convex
        language.model.setParams({"presolving/donotaggr": True, "presolving/donotmultaggr": True})
        parts = add_shares(language, x, numbers, problem.plain.objective)
    return ScipModel(problem, unit_s, chosen, language.model, language.cost, x, **parts)
