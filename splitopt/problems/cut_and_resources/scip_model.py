"""`CutAndResources` in PySCIPOpt: the MIQP of the sum or the cone program with shares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from splitopt.problems.base import FloatArray
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
        """Shape (N, 3): the incumbent's shares, None in the formulation ``"miqp"``."""
        if self.formulation == "miqp" or self.model.getNSols() == 0:
            return None
        best = self.model.getBestSol()
        values = {key: self.model.getSolVal(best, v) for key, v in self.share.items()}
        return share_table(self.problem, values)


def build_scip(problem: CutAndResourcesData, formulation: str | None, unit_s: float) -> ScipModel:
    """Build the model; the documented entry is `CutAndResources.to_scip`."""
    import pyscipopt

    chosen = choose_formulation(problem, formulation)
    numbers = Coefficients.of(problem.plain, unit_s)
    model = pyscipopt.Model("cut_and_resources")
    model.hideOutput()
    x = {(n, cut): model.addVar(f"x[{n},{cut}]", vtype="B") for n, cut in numbers.pairs}
    for n, cuts in numbers.cuts_of().items():
        model.addCons(pyscipopt.quicksum(x[n, cut] for cut in cuts) == 1, f"one_cut[{n}]")
    for name, (use, limit) in numbers.side.items():
        used = [part * x[pair] for pair, part in use.items() if part]
        if used:
            model.addCons(pyscipopt.quicksum(used) <= limit, f"side_budget[{name}]")
    cost = model.addVar("cost", lb=0.0)
    model.setObjective(cost, "minimize")
    if chosen == "miqp":
        parts = _add_totals(model, cost, x, numbers)
    else:
        # a cone whose variables presolve substitutes is no longer recognised as convex
        model.setParams({"presolving/donotaggr": True, "presolving/donotmultaggr": True})
        parts = _add_shares(model, cost, x, numbers, problem.plain)
    return ScipModel(problem, unit_s, chosen, model, cost, x, **parts)


def _add_totals(
    model: Any, cost: Any, x: dict[tuple[int, int], Any], numbers: Coefficients
) -> dict[str, Any]:
    """Add the sums of roots, whose squares are what the best shares cost."""
    from pyscipopt import quicksum

    total = {r: model.addVar(f"total[{r}]", lb=0.0) for r in numbers.used}
    for r, variable in total.items():
        roots = quicksum(numbers.root(*pair, r) * use for pair, use in x.items())
        model.addCons(variable == roots, f"total_roots[{r}]")
    on_devices = quicksum(numbers.device_time(*pair) * use for pair, use in x.items())
    model.addCons(quicksum(v * v for v in total.values()) + on_devices <= cost, "objective")
    return {"total": total}


def _add_shares(
    model: Any,
    cost: Any,
    x: dict[tuple[int, int], Any],
    numbers: Coefficients,
    problem: CutAndResourcesData,
) -> dict[str, Any]:
    """Add shares, the time that each of them takes, and the objective over latencies."""
    from pyscipopt import quicksum

    cuts, served, devices = numbers.cuts_of(), numbers.served, problem.devices
    scale = math.sqrt(devices)
    share = {(n, r): model.addVar(f"share[{n},{r}]", lb=0.0, ub=1.0) for n, r in served}
    seconds = {(n, r): model.addVar(f"seconds[{n},{r}]", lb=0.0) for n, r in served}
    latency = {
        n: quicksum(numbers.device_time(n, cut) * x[n, cut] for cut in of_n)
        for n, of_n in cuts.items()
    }
    for n, r in served:
        root = model.addVar(f"root[{n},{r}]", lb=0.0)
        roots = quicksum(scale * numbers.root(n, cut, r) * x[n, cut] for cut in cuts[n])
        model.addCons(root == roots, f"roots[{n},{r}]")
        model.addCons(root * root <= devices * share[n, r] * seconds[n, r], f"service[{n},{r}]")
        latency[n] = latency[n] + seconds[n, r]
    for resource in numbers.used:
        spent = quicksum(share[n, r] for n, r in served if r == resource)
        model.addCons(spent <= 1, f"budget[{resource}]")
    if problem.objective == "sum":
        model.addCons(quicksum(latency.values()) <= cost, "objective")
    else:
        for n, value in latency.items():
            model.addCons(value <= cost, f"deadline[{n}]")
    return {"share": share, "seconds": seconds, "latency": latency}
