"""`PipelinePartition` in Pyomo: a concrete model with named components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from splitopt.errors import InputError
from splitopt.problems.pipeline_partition.decision import PipelinePartitionDecision
from splitopt.problems.pipeline_partition.formulation import (
    Numbers,
    Terms,
    check_contiguity,
    later_pairs,
    read_assignment,
)

if TYPE_CHECKING:
    from splitopt.problems.pipeline_partition.problem import PipelinePartition


@dataclass(frozen=True)
class PyomoModel:
    """A ``pyomo.environ.ConcreteModel``, see the module `formulation` for the maths.

    Add own components to `model` and solve it with any Pyomo solver for integer programs.

    Parameters
    ----------
    problem
        What is asked.
    unit_s
        Length in s of the model's unit of time.
    model
        Variables ``x[i, j]``, ``start[i, j]`` (linear contiguity), ``end[i, j]`` (interfaces),
        ``period`` or, for the objective ``"paper"``, ``fill_forward`` and ``fill_backward``;
        constraints as in the formulation, and ``node_time[i]``, ``link_time[c]``,
        ``interface_time[i]``, ``receive_time[i]``, ``send_time[i]`` for busy times.
    """

    problem: PipelinePartition
    unit_s: float
    model: Any

    def decision(self) -> PipelinePartitionDecision | None:
        """Give the decision of the values that a solver loaded last, None where it loaded none."""
        if any(v.value is None or v.stale for v in self.model.x.values()):
            return None
        values = {key: v.value for key, v in self.model.x.items()}
        return read_assignment(self.problem, values)


def build_pyomo(problem: PipelinePartition, contiguity: str, unit_s: float) -> PyomoModel:
    """Build the model; the documented entry is `PipelinePartition.to_pyomo`."""
    import pyomo.environ as pyo

    check_contiguity(problem, contiguity)
    numbers = Numbers.of(problem, unit_s)
    model = pyo.ConcreteModel(name="pipeline_partition")
    model.x = pyo.Var(numbers.pairs, domain=pyo.Binary)
    _add_use(model, numbers)
    if contiguity == "linear":
        _add_runs(model, numbers)
    else:
        _add_products(model, numbers)
    if problem.order == "given":
        _add_order(model, numbers)
    _add_objective(model, numbers)
    return PyomoModel(problem, unit_s, model)


def _value(model: Any, terms: Terms) -> Any:
    return sum(factor * getattr(model, kind)[i, j] for (kind, i, j), factor in terms.items())


def _add_use(model: Any, numbers: Numbers) -> None:
    """Add one node for each layer, a layer for each node that must be used, and memory."""
    import pyomo.environ as pyo

    hosts, layers = numbers.nodes_of(), numbers.layers_of()
    model.one_node = pyo.Constraint(
        list(hosts), rule=lambda m, j: sum(m.x[i, j] for i in hosts[j]) == 1
    )
    if numbers.problem.use_all_nodes:
        model.used = pyo.Constraint(
            list(layers), rule=lambda m, i: sum(m.x[i, j] for j in layers[i]) >= 1
        )
    able = [i for i in layers if layers[i]]
    model.memory = pyo.Constraint(able, rule=lambda m, i: _value(m, numbers.memory(i)) <= 1)


def _add_runs(model: Any, numbers: Numbers) -> None:
    """Add where runs start, and where they end if anything depends on it."""
    import pyomo.environ as pyo

    layers, pairs = numbers.layers_of(), set(numbers.pairs)

    def step(m: Any, i: int, j: int, other: int) -> Any:
        return m.x[i, j] - m.x[i, other] if (i, other) in pairs else m.x[i, j]

    able = [i for i in layers if layers[i]]
    all_used = numbers.problem.use_all_nodes
    model.start = pyo.Var(numbers.pairs, bounds=(0, 1))
    model.starts = pyo.Constraint(
        numbers.pairs, rule=lambda m, i, j: m.start[i, j] >= step(m, i, j, j - 1)
    )
    model.one_run = pyo.Constraint(
        able,
        rule=lambda m, i: pyo.inequality(int(all_used), sum(m.start[i, j] for j in layers[i]), 1),
    )
    if numbers.has_ends:
        model.end = pyo.Var(numbers.pairs, bounds=(0, 1))
        model.ends = pyo.Constraint(
            numbers.pairs, rule=lambda m, i, j: m.end[i, j] >= step(m, i, j, j + 1)
        )
        model.one_end = pyo.Constraint(
            able, rule=lambda m, i: sum(m.end[i, j] for j in layers[i]) <= 1
        )


def _add_products(model: Any, numbers: Numbers) -> None:
    """Add the corrected Eq. 7."""
    import pyomo.environ as pyo

    layers, pairs = numbers.layers_of(), set(numbers.pairs)
    places = [(i, k, j) for i, own in layers.items() for k, j in later_pairs(own)]
    model.contiguous = pyo.Constraint(
        places,
        rule=lambda m, i, k, j: (
            m.x[i, j] * (m.x[i, k - 1] - (m.x[i, k] if (i, k) in pairs else 0)) <= 0
        ),
    )


def _add_order(model: Any, numbers: Numbers) -> None:
    """Let nodes follow each other by rising index."""
    import pyomo.environ as pyo

    hosts = numbers.nodes_of()
    inner = [
        (i, j) for i in range(numbers.problem.nodes - 1) for j in range(numbers.problem.layers - 1)
    ]

    def rule(m: Any, i: int, j: int) -> Any:
        here = sum(m.x[h, j] for h in hosts[j] if h <= i)
        after = sum(m.x[h, j + 1] for h in hosts[j + 1] if h <= i)
        return pyo.Constraint.Skip if isinstance(after, int) else after <= here

    model.in_order = pyo.Constraint(inner, rule=rule)


def _add_objective(model: Any, numbers: Numbers) -> None:
    """Minimise the period, Eq. 3, or the epoch."""
    import pyomo.environ as pyo

    problem = numbers.problem
    able = [i for i, layers in numbers.layers_of().items() if layers]
    if problem.objective == "paper":
        for name, table in (("forward", problem.forward_s), ("backward", problem.backward_s)):
            model.add_component(f"fill_{name}", pyo.Var(domain=pyo.NonNegativeReals))
            fill = model.component(f"fill_{name}")
            rows = {i: numbers.computing(i, table) for i in able}
            model.add_component(
                f"{name}_time",
                pyo.Constraint(
                    able, rule=lambda m, i, rows=rows, fill=fill: _value(m, rows[i]) <= fill
                ),
            )
        model.objective = pyo.Objective(expr=model.fill_forward + model.fill_backward)
        return
    model.period = pyo.Var(domain=pyo.NonNegativeReals)
    busy: dict[str, dict[int, Terms]] = {}
    for kind, index, terms in numbers.busy():
        if terms:
            busy.setdefault(kind, {})[index] = terms
    for kind, rows in busy.items():
        model.add_component(
            kind,
            pyo.Constraint(list(rows), rule=lambda m, i, rows=rows: _value(m, rows[i]) <= m.period),
        )
    if problem.objective == "period":
        model.objective = pyo.Objective(expr=model.period)
        return
    if problem.batches is None:
        raise InputError.at("batches", "is missing, the objective 'epoch' needs it")
    model.latency = pyo.Expression(expr=_value(model, numbers.latency()) + numbers.owner_time)
    model.objective = pyo.Objective(expr=model.latency + (problem.batches - 1) * model.period)
