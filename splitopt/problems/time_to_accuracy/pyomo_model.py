"""`TimeToAccuracy` in Pyomo: a concrete model with named components.

    minimize    rounds * round_time
    subject to  sum of x[n, l, b] over l and b = 1                              one_choice[n]
                sum of w[l, k] = 1                                              one_setting
                x[n, m, b] + sum_k w[l, k] <= 1, m > l (common: m != l)         cut_within[n, l]
                rounds >= sum T[b, l, k]/N x[n, ., b] - M (1 - w[l, k])         curve[l, k]
                out >= sum b out_s[n, l] x[n, l, b]                             slowest_out[n]
                back >= sum b back_s[n, l] x[n, l, b]                           slowest_back[n]
                spread >= sum exchange_s[n, l] / I_k x[n, l, .]
                          - M (1 - sum_l w[l, k])                               exchange[n, k]
                round_time = out + back + spread + sum b server_s[l] x[n, l, b] round

x picks a cut and a batch size for each device and w the largest cut and the interval. The product
of the objective is of two variables: the one term that is not linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.problems.time_to_accuracy.data import TimeToAccuracyData
from splitopt.problems.time_to_accuracy.decision import TimeToAccuracyDecision


@dataclass(frozen=True)
class PyomoModel:
    """A ``pyomo.environ.ConcreteModel`` of a problem; add own components to `model`.

    Its binaries are ``x[n, l, b]`` (devices from 0, cuts from 1, batch sizes as samples, only what
    fits) and ``w[l, k]`` (largest cut, interval in steps); ``rounds``, ``round_time``, ``out``,
    ``back`` and ``spread`` are its other variables, in units of time as it was built.
    """

    problem: TimeToAccuracyData
    model: Any

    def decision(self) -> TimeToAccuracyDecision | None:
        """Return the decision that a solver loaded last, None where it loaded none."""
        model = self.model
        if any(v.value is None or v.stale for v in model.x.values()):
            return None
        cuts, sizes = np.ones((2, self.problem.devices), dtype=np.int64)
        for (n, cut, size), variable in model.x.items():
            if variable.value > 0.5:
                cuts[n], sizes[n] = cut, size
        interval = max(model.w, key=lambda key: model.w[key].value)[1]
        return TimeToAccuracyDecision(cuts, sizes, int(interval))


def build_pyomo(problem: TimeToAccuracyData, unit_s: float = 1.0) -> PyomoModel:
    """Build the model; the documented entry is `TimeToAccuracy.to_pyomo`."""
    import pyomo.environ as pyo

    model = pyo.ConcreteModel("time_to_accuracy")
    sizes = {int(size): b for b, size in enumerate(problem.batch_sizes)}
    table = problem.rounds_by_choice
    picks = [
        (n, cut + 1, size)
        for n in range(problem.devices)
        for cut in range(problem.layers)
        for size in sizes
        if size <= problem.largest_batch[n, cut]
    ]
    settings = [
        (int(cut) + 1, int(interval))
        for cut in np.flatnonzero(problem.possible)
        for k, interval in enumerate(problem.intervals)
        if np.isfinite(table[:, cut, k]).any()
    ]
    model.x = pyo.Var(picks, domain=pyo.Binary)
    model.w = pyo.Var(settings, domain=pyo.Binary)
    for name in ("rounds", "round_time", "out", "back", "spread"):
        model.add_component(name, pyo.Var(domain=pyo.NonNegativeReals))
    of_device: dict[int, list[tuple[int, int]]] = {n: [] for n in range(problem.devices)}
    for n, cut, size in picks:
        of_device[n].append((cut, size))
    model.one_choice = pyo.Constraint(
        list(of_device), rule=lambda m, n: sum(m.x[n, c, s] for c, s in of_device[n]) == 1
    )
    model.one_setting = pyo.Constraint(expr=sum(model.w.values()) == 1)
    _add_cuts(model, problem, of_device, settings)
    _add_rounds(model, problem, picks, settings, sizes)
    _add_times(model, problem, of_device, settings, unit_s)
    model.objective = pyo.Objective(expr=model.rounds * model.round_time)
    return PyomoModel(problem, model)


def _add_cuts(model: Any, problem: TimeToAccuracyData, of_device: Any, settings: Any) -> None:
    """Add that no device cuts beyond the largest cut, or elsewhere than at the common one."""
    import pyomo.environ as pyo

    common = problem.cuts == "common"

    def within(m: Any, n: int, top: int) -> Any:
        other = [
            m.x[n, cut, size] for cut, size in of_device[n] if cut > top or (common and cut != top)
        ]
        if not other:
            return pyo.Constraint.Skip
        return sum(other) + sum(m.w[key] for key in settings if key[0] == top) <= 1

    tops = sorted({cut for cut, _ in settings})
    model.cut_within = pyo.Constraint(list(of_device), tops, rule=within)


def _add_rounds(
    model: Any, problem: TimeToAccuracyData, picks: Any, settings: Any, sizes: dict[int, int]
) -> None:
    """Add the rounds at the setting that is chosen, and that it reaches the target."""
    import pyomo.environ as pyo

    table = problem.rounds_by_choice
    numbers = {int(interval): k for k, interval in enumerate(problem.intervals)}
    most = float(table[np.isfinite(table)].max())

    def column(key: tuple[int, int]) -> Any:
        return table[:, key[0] - 1, numbers[key[1]]]

    def curve(m: Any, cut: int, interval: int) -> Any:
        entries = np.nan_to_num(column((cut, interval)), posinf=0.0) / problem.devices
        total = sum(entries[sizes[size]] * m.x[n, c, size] for n, c, size in picks)
        return m.rounds >= total - most * (1 - m.w[cut, interval])

    def reached(m: Any, cut: int, interval: int, n: int) -> Any:
        entries = column((cut, interval))
        never = [
            m.x[i, c, size] for i, c, size in picks if i == n and np.isinf(entries[sizes[size]])
        ]
        return sum(never) + m.w[cut, interval] <= 1 if never else pyo.Constraint.Skip

    model.curve = pyo.Constraint(settings, rule=curve)
    model.reached = pyo.Constraint(settings, range(problem.devices), rule=reached)


def _add_times(
    model: Any, problem: TimeToAccuracyData, of_device: Any, settings: Any, unit_s: float
) -> None:
    """Add the maxima of a round and the round itself."""
    import pyomo.environ as pyo

    intervals = sorted({interval for _, interval in settings})
    most = float(problem.exchange_s.max()) / unit_s

    def slowest(m: Any, variable: Any, seconds: Any, n: int) -> Any:
        return variable >= sum(
            size * float(seconds[n, cut - 1]) / unit_s * m.x[n, cut, size]
            for cut, size in of_device[n]
        )

    def exchange(m: Any, n: int, interval: int) -> Any:
        moved = sum(
            float(problem.exchange_s[n, cut - 1]) / unit_s / interval * m.x[n, cut, size]
            for cut, size in of_device[n]
        )
        chosen = sum(m.w[key] for key in settings if key[1] == interval)
        return m.spread >= moved - most / interval * (1 - chosen)

    model.slowest_out = pyo.Constraint(
        list(of_device), rule=lambda m, n: slowest(m, m.out, problem.out_s, n)
    )
    model.slowest_back = pyo.Constraint(
        list(of_device), rule=lambda m, n: slowest(m, m.back, problem.back_s, n)
    )
    model.exchange = pyo.Constraint(list(of_device), intervals, rule=exchange)
    served = sum(
        size * float(problem.server_s[cut - 1]) / unit_s * model.x[n, cut, size]
        for n, own in of_device.items()
        for cut, size in own
    )
    model.round = pyo.Constraint(
        expr=model.round_time == model.out + model.back + model.spread + served
    )
