"""`CutAndResources` in gurobipy: the MIQP of the sum or the cone program with shares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from splitopt.problems.base import FloatArray
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
        """Shape (N, 3): the incumbent's shares, None in the formulation ``"miqp"``."""
        if self.formulation == "miqp" or self.model.SolCount == 0:
            return None
        return share_table(self.problem, {key: v.X for key, v in self.share.items()})

    def decision_in_callback(self, inside: Any) -> CutAndResourcesDecision:
        """Give the decision of the new solution, inside Gurobi's callback ``MIPSOL``."""
        values = inside.cbGetSolution(list(self.x.values()))
        use = table(self.problem, dict(zip(self.x, values, strict=True)))
        return complete_cuts(self.problem, read_cuts(use))


def build_gurobi(
    problem: CutAndResourcesData, env: Any, formulation: str | None, unit_s: float
) -> GurobiModel:
    """Build the model; the documented entry is `CutAndResources.to_gurobi`."""
    import gurobipy

    chosen = choose_formulation(problem, formulation)
    numbers = Coefficients.of(problem.plain, unit_s)
    if env is None:
        env = silent_environment()
    model = gurobipy.Model("cut_and_resources", env=env)
    x = dict(model.addVars(numbers.pairs, vtype=gurobipy.GRB.BINARY, name="x"))
    for n, cuts in numbers.cuts_of().items():
        model.addConstr(gurobipy.quicksum(x[n, cut] for cut in cuts) == 1, name=f"one_cut[{n}]")
    for name, (use, limit) in numbers.side.items():
        used = gurobipy.quicksum(part * x[pair] for pair, part in use.items())
        model.addConstr(used <= limit, name=f"side_budget[{name}]")
    if chosen == "miqp":
        parts = _add_totals(model, x, numbers)
    else:
        parts = _add_shares(model, x, numbers, problem.plain)
    model.update()
    return GurobiModel(problem, unit_s, chosen, model, env, x, **parts)


def _add_totals(model: Any, x: dict[tuple[int, int], Any], numbers: Coefficients) -> dict[str, Any]:
    """Add the sums of roots, whose squares are what the best shares cost."""
    from gurobipy import quicksum

    total = dict(model.addVars(numbers.used, name="total"))
    for r, variable in total.items():
        roots = quicksum(numbers.root(*pair, r) * use for pair, use in x.items())
        model.addConstr(variable == roots, name=f"total_roots[{r}]")
    on_devices = quicksum(numbers.device_time(*pair) * use for pair, use in x.items())
    model.setObjective(quicksum(v * v for v in total.values()) + on_devices)
    return {"total": total}


def _add_shares(
    model: Any, x: dict[tuple[int, int], Any], numbers: Coefficients, problem: CutAndResourcesData
) -> dict[str, Any]:
    """Add shares, the time that each of them takes, and the objective over latencies."""
    from gurobipy import quicksum

    cuts, served, devices = numbers.cuts_of(), numbers.served, problem.devices
    scale = math.sqrt(devices)
    share = dict(model.addVars(served, ub=1.0, name="share"))
    seconds = dict(model.addVars(served, name="seconds"))
    root = dict(model.addVars(served, name="root"))
    latency = {
        n: quicksum(numbers.device_time(n, cut) * x[n, cut] for cut in of_n)
        for n, of_n in cuts.items()
    }
    for n, r in served:
        roots = quicksum(scale * numbers.root(n, cut, r) * x[n, cut] for cut in cuts[n])
        model.addConstr(root[n, r] == roots, name=f"roots[{n},{r}]")
        model.addQConstr(
            root[n, r] * root[n, r] <= devices * share[n, r] * seconds[n, r],
            name=f"service[{n},{r}]",
        )
        latency[n] += seconds[n, r]
    for resource in numbers.used:
        spent = quicksum(share[n, r] for n, r in served if r == resource)
        model.addConstr(spent <= 1, name=f"budget[{resource}]")
    parts = {"share": share, "seconds": seconds, "latency": latency}
    if problem.objective == "sum":
        model.setObjective(quicksum(latency.values()))
        return parts
    round_time = model.addVar(name="round_time")
    for n, value in latency.items():
        model.addConstr(value <= round_time, name=f"deadline[{n}]")
    model.setObjective(round_time)
    return {**parts, "round_time": round_time}
