"""`CutAndResources` in Pyomo: a concrete model with named components.

Beside the formulations of the module `formulation` there is ``"minlp"``, DP-MORA Eq. 19 as it is
printed, for a problem that carries curves: the cut of a device is an integer variable, the seconds
at the full resource are functions f of it, and a latency is the sum of needs over shares. Two
things differ in form only: a quotient is written as a product, as no share has to be above zero,
and a curve that is negative at some cuts counts as zero there, or P1 would be unbounded:

    minimise    sum_n latency[n]   or   round_time
    subject to  cut[n] = sum_l l x[n, l],  sum_l x[n, l] = 1      which_cut, one_cut
                need[n, phase, family] >= f(cut[n]),  need >= 0   curve
                share[n, r] seconds[n, r] >= sum need[n, r, .]    service
                sum_n share[n, r] <= 1                            budget
                latency[n] = sum_r seconds[n, r] + sum need[n, "device", .]

Its optimum is that of the curves, which need not meet the problem's tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from splitopt.errors import InputError
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources.data import RESOURCES, CutAndResourcesData
from splitopt.problems.cut_and_resources.formulation import (
    Coefficients,
    Formulation,
    choose_formulation,
    share_table,
    table,
)
from splitopt.profiles.table.curves import TABULATED, curve_value

MINLP = "minlp"
"""The formulation that only Pyomo has."""


@dataclass(frozen=True)
class PyomoModel(Formulation):
    """A ``pyomo.environ.ConcreteModel``, see the module `formulation` for the maths.

    Add own components to `model` and solve it with any Pyomo solver that takes the formulation.

    Parameters
    ----------
    model
        All formulations have the binaries ``x[n, l]`` (devices from 0, cuts from 1, allowed pairs
        only), ``device_time[n]``, ``one_cut[n]``, ``objective`` and, with budgets,
        ``side_budget[name]``. ``"miqp"`` has ``total[r]`` and
        ``total_roots[r]``; ``"misocp"`` has ``share[n, r]``, ``seconds[n, r]``, ``root[n, r]``,
        ``roots[n, r]``, ``service[n, r]``, ``budget[r]``, ``latency[n]`` and, for the makespan,
        ``round_time`` and ``deadline[n]``. Resources r are those of the problem, ``"download"``,
        ``"upload"`` and ``"server"`` of cuts; pairs (n, r) that no allowed cut of the device needs
        are left out. For
        ``"minlp"`` see the module.
    """

    model: Any

    def use_values(self) -> FloatArray | None:
        """Shape (N, L): the values of x that a solver loaded last, None where it loaded none."""
        if any(v.value is None or v.stale for v in self.model.x.values()):
            return None
        return table(self.problem, {key: v.value for key, v in self.model.x.items()})

    def share_values(self) -> FloatArray | None:
        """Shape (N, R): the values of the shares that a solver loaded last."""
        if self.formulation == "miqp" or self.use_values() is None:
            return None
        return share_table(self.problem, {key: v.value for key, v in self.model.share.items()})


def build_pyomo(problem: CutAndResourcesData, formulation: str | None, unit_s: float) -> PyomoModel:
    """Build the model; the documented entry is `CutAndResources.to_pyomo`."""
    plain = problem.plain
    chosen = MINLP if formulation == MINLP else choose_formulation(problem, formulation)
    numbers = Coefficients.of(plain, unit_s)
    model = _model_of_cuts(numbers)
    if chosen == MINLP:
        _add_curves(model, numbers, plain, unit_s)
    elif chosen == "miqp":
        _add_totals(model, numbers)
    else:
        _add_shares(model, numbers, plain)
    return PyomoModel(problem, unit_s, chosen, model)


def _model_of_cuts(numbers: Coefficients) -> Any:
    """Make the part that does not depend on how resources are shared."""
    import pyomo.environ as pyo

    model = pyo.ConcreteModel(name="cut_and_resources")
    cuts = numbers.cuts_of()
    model.x = pyo.Var(numbers.pairs, domain=pyo.Binary)
    model.one_cut = pyo.Constraint(cuts, rule=lambda m, n: sum(m.x[n, cut] for cut in cuts[n]) == 1)
    model.device_time = pyo.Expression(
        cuts, rule=lambda m, n: sum(numbers.device_time(n, cut) * m.x[n, cut] for cut in cuts[n])
    )
    if numbers.side:
        model.side_budget = pyo.Constraint(
            list(numbers.side), rule=lambda m, name: _side_row(m, *numbers.side[name])
        )
    return model


def _side_row(model: Any, use: dict[tuple[int, int], float], limit: float) -> Any:
    """Return the row of a side budget; one that uses nothing is always kept."""
    import pyomo.environ as pyo

    used = [part * model.x[pair] for pair, part in use.items() if part]
    return sum(used) <= limit if used else pyo.Constraint.Skip


def _add_totals(model: Any, numbers: Coefficients) -> None:
    """Add the sums of roots, whose squares are what the best shares cost."""
    import pyomo.environ as pyo

    model.total = pyo.Var(numbers.used, domain=pyo.NonNegativeReals)
    model.total_roots = pyo.Constraint(
        numbers.used,
        rule=lambda m, r: (
            m.total[r] == sum(numbers.root(n, cut, r) * m.x[n, cut] for n, cut in numbers.pairs)
        ),
    )
    model.objective = pyo.Objective(
        expr=sum(model.total[r] ** 2 for r in numbers.used)
        + sum(model.device_time[n] for n in model.device_time)
    )


def _add_shares(model: Any, numbers: Coefficients, problem: CutAndResourcesData) -> None:
    """Add shares, the time that each of them takes, and the objective over latencies."""
    import pyomo.environ as pyo

    cuts, served, devices = numbers.cuts_of(), numbers.served, problem.devices
    scale = math.sqrt(devices)
    model.share = pyo.Var(served, bounds=(0, 1))
    model.seconds = pyo.Var(served, domain=pyo.NonNegativeReals)
    model.root = pyo.Var(served, domain=pyo.NonNegativeReals)
    model.roots = pyo.Constraint(
        served,
        rule=lambda m, n, r: (
            m.root[n, r] == sum(scale * numbers.root(n, cut, r) * m.x[n, cut] for cut in cuts[n])
        ),
    )
    model.service = pyo.Constraint(
        served,
        rule=lambda m, n, r: m.root[n, r] ** 2 <= devices * m.share[n, r] * m.seconds[n, r],
    )
    model.budget = pyo.Constraint(
        numbers.used, rule=lambda m, r: sum(m.share[k] for k in served if k[1] == r) <= 1
    )
    waits: dict[int, list[tuple[int, str]]] = {n: [] for n in cuts}
    for key in served:
        waits[key[0]].append(key)
    model.latency = pyo.Expression(
        cuts, rule=lambda m, n: m.device_time[n] + sum(m.seconds[key] for key in waits[n])
    )
    _add_objective(model, problem.objective)


def _add_curves(
    model: Any, numbers: Coefficients, problem: CutAndResourcesData, unit_s: float
) -> None:
    """Add the cut as a number, needs as functions of it, shares, and the objective."""
    import pyomo.environ as pyo

    if problem.curves is None:
        raise InputError.at("formulation", "is 'minlp', which needs a problem with 'curves'")
    cuts, families = numbers.cuts_of(), list(problem.curves)
    # plain Python numbers: those of numpy do not multiply expressions
    curves = {name: (problem.curves[name] / unit_s).astype(object) for name in families}
    phases = (*RESOURCES, "device")

    def needed(m: Any, n: int, family: str, phase: int) -> Any:
        coefficients = curves[family][n, phase]
        if family in TABULATED:  # values at the cuts, of which exactly one is taken
            return sum(coefficients[cut - 1] * m.x[n, cut] for cut in cuts[n])
        return curve_value(family, coefficients, m.cut[n], pyo)

    model.cut = pyo.Var(cuts, domain=pyo.Integers, bounds=(1, problem.layers))
    model.which_cut = pyo.Constraint(
        cuts, rule=lambda m, n: m.cut[n] == sum(cut * m.x[n, cut] for cut in cuts[n])
    )
    model.need = pyo.Var(cuts, phases, families, domain=pyo.NonNegativeReals)
    model.curve = pyo.Constraint(
        cuts,
        phases,
        families,
        rule=lambda m, n, phase, family: (
            m.need[n, phase, family] >= needed(m, n, family, phases.index(phase))
        ),
    )
    model.share = pyo.Var(cuts, RESOURCES, bounds=(0, 1))
    model.seconds = pyo.Var(cuts, RESOURCES, domain=pyo.NonNegativeReals)
    model.service = pyo.Constraint(
        cuts,
        RESOURCES,
        rule=lambda m, n, r: (
            m.share[n, r] * m.seconds[n, r] >= sum(m.need[n, r, family] for family in families)
        ),
    )
    model.budget = pyo.Constraint(
        RESOURCES, rule=lambda m, r: sum(m.share[n, r] for n in cuts) <= 1
    )
    model.latency = pyo.Expression(
        cuts,
        rule=lambda m, n: (
            sum(m.seconds[n, r] for r in RESOURCES)
            + sum(m.need[n, "device", family] for family in families)
        ),
    )
    _add_objective(model, problem.objective)


def _add_objective(model: Any, objective: str) -> None:
    """Minimise the sum or the largest of ``model.latency``."""
    import pyomo.environ as pyo

    if objective == "sum":
        model.objective = pyo.Objective(expr=sum(model.latency.values()))
        return
    model.round_time = pyo.Var(domain=pyo.NonNegativeReals)
    model.deadline = pyo.Constraint(
        list(model.latency), rule=lambda m, n: m.latency[n] <= m.round_time
    )
    model.objective = pyo.Objective(expr=model.round_time)
