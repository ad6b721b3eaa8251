"""`CutAndResources` in gurobipy: the MIQP of the sum or the cone program with shares."""

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
from splitopt.problems.cut_and_resources.completion import complete_cuts
from splitopt.problems.cut_and_resources.data import CutAndResourcesData
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.formulation import (
    Coefficients,
    Formulation,
    choose_formulation,
    read_cuts,
    share_table,
    table,
)
from splitopt.problems.gurobi_environment import silent_environment


@dataclass(frozen=True)
class GurobiModel(Formulation):
    """A ``gurobipy.Model``, see the module `formulation` for the maths.

    Add own constraints to `model`, then ``model.optimize()``. Without a licence of your own Gurobi
    takes at most 200 variables where anything is quadratic, and 2,000 where nothing is.

    Parameters
    ----------
    model
        The ``gurobipy.Model``; constraints are named as in the formulation, ``one_cut[0]``, ...
    env
        The environment of `model`, which must live as long as it.
    x
        Binaries by (device from 0, cut from 1), allowed pairs only.
    total
        ``"miqp"``: sums of roots by resource; empty otherwise.
    share, seconds
        ``"misocp"``: by (device, resource), needed pairs only; empty otherwise.
    latency
        ``"misocp"``: expressions by device; empty otherwise.
    round_time
        The largest latency, None for the sum.
    """

    model: Any
    env: Any
    x: dict[tuple[int, int], Any]
    total: dict[str, Any] = field(default_factory=dict)
    share: dict[tuple[int, str], Any] = field(default_factory=dict)
    seconds: dict[tuple[int, str], Any] = field(default_factory=dict)
    latency: dict[int, Any] = field(default_factory=dict)
    round_time: Any = None

    def use_values(self) -> FloatArray | None:
        """Shape (N, L): the values of x in the incumbent, None where there is no incumbent."""
        if self.model.SolCount == 0:
            return None
        return table(self.problem, {key: v.X for key, v in self.x.items()})

    def share_values(self) -> FloatArray | None:
        """Shape (N, R): the incumbent's shares, None in the formulation ``"miqp"``."""
        if self.formulation == "miqp" or self.model.SolCount == 0:
            return None
        return share_table(self.problem, {key: v.X for key, v in self.share.items()})

    def decision_in_callback(self, inside: Any) -> CutAndResourcesDecision:
        """Return the decision of the new solution, inside Gurobi's callback ``MIPSOL``."""
        values = inside.cbGetSolution(list(self.x.values()))
        use = table(self.problem, dict(zip(self.x, values, strict=True)))
        return complete_cuts(self.problem, read_cuts(use))


class _Gurobi:
    """The language of `algebraic_model` in gurobipy."""

    def __init__(self, env: Any) -> None:
        import gurobipy

        self.model = gurobipy.Model("cut_and_resources", env=env)
        self.round_time: Any = None
        self.total: Callable[..., Any] = gurobipy.quicksum
        self._binary = gurobipy.GRB.BINARY

    def binary(self, name: str) -> Any:
        """Add a variable that is 0 or 1."""
        return self.model.addVar(vtype=self._binary, name=name)

    def real(self, name: str, most: float | None = None) -> Any:
        """Add a variable of at least 0."""
        if most is None:
            return self.model.addVar(name=name)
        return self.model.addVar(ub=most, name=name)

    def row(self, relation: Any, name: str) -> None:
        """Add a constraint."""
        self.model.addConstr(relation, name=name)

    def minimise(self, expression: Any) -> None:
        """Set the objective."""
        self.model.setObjective(expression)

    def minimised(self) -> Any:
        """Add the round time and make it the objective."""
        self.round_time = self.model.addVar(name="round_time")
        self.model.setObjective(self.round_time)
        return self.round_time


def build_gurobi(
    problem: CutAndResourcesData, env: Any, formulation: str | None, unit_s: float
) -> GurobiModel:
    """Build the model; the documented entry is `CutAndResources.to_gurobi`."""
    chosen = choose_formulation(problem, formulation)
    numbers = Coefficients.of(problem.plain, unit_s)
    if env is None:
        env = silent_environment()
    language = _Gurobi(env)
    x = add_cuts(language, numbers)
    if chosen == "miqp":
        parts = add_totals(language, x, numbers)
    else:
        parts = add_shares(language, x, numbers, problem.plain.objective)
    parts["round_time"] = language.round_time
    language.model.update()
    return GurobiModel(problem, unit_s, chosen, language.model, env, x, **parts)
