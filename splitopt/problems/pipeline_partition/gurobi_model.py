"""`PipelinePartition` in gurobipy: MP-SL's integer program with named variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from splitopt.problems.gurobi_environment import silent_environment
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

Variables = Mapping[str, Mapping[tuple[int, int], Any]]


@dataclass(frozen=True)
class GurobiModel:
    """A ``gurobipy.Model``, see the module `formulation` for the maths.

    Add own constraints to `model`, then ``model.optimize()``. Without a licence of your own Gurobi
    takes at most 2,000 variables and rows, and 200 variables with quadratic contiguity.

    Parameters
    ----------
    problem
        What is asked.
    unit_s
        Length in s of the model's unit of time.
    model
        The ``gurobipy.Model``; variables and constraints are named as in the formulation.
    env
        The environment of `model`, which must live as long as it.
    variables
        ``"x"``, ``"start"`` and ``"end"`` -> variables by (node, layer); those that are used.
    """

    problem: PipelinePartition
    unit_s: float
    model: Any
    env: Any
    variables: Variables

    def decision(self) -> PipelinePartitionDecision | None:
        """Give the decision of the incumbent, None where there is none."""
        if self.model.SolCount == 0:
            return None
        values = {key: v.X for key, v in self.variables["x"].items()}
        return read_assignment(self.problem, values)

    def decision_in_callback(self, inside: Any) -> PipelinePartitionDecision:
        """Give the decision of the new solution, inside Gurobi's callback ``MIPSOL``."""
        x = self.variables["x"]
        values = dict(zip(x, inside.cbGetSolution(list(x.values())), strict=True))
        return read_assignment(self.problem, values)


def build_gurobi(
    problem: PipelinePartition, env: Any, contiguity: str, unit_s: float
) -> GurobiModel:
    """Build the model; the documented entry is `PipelinePartition.to_gurobi`."""
    import gurobipy

    check_contiguity(problem, contiguity)
    numbers = Numbers.of(problem, unit_s)
    if env is None:
        env = silent_environment()
    model = gurobipy.Model("pipeline_partition", env=env)
    x = dict(model.addVars(numbers.pairs, vtype=gurobipy.GRB.BINARY, name="x"))
    variables: dict[str, dict[tuple[int, int], Any]] = {"x": x}
    _add_use(model, variables, numbers)
    if contiguity == "linear":
        _add_runs(model, variables, numbers)
    else:
        _add_products(model, x, numbers)
    if problem.order == "given":
        _add_order(model, x, numbers)
    _add_objective(model, variables, numbers)
    model.update()
    return GurobiModel(problem, unit_s, model, env, variables)


def _value(variables: Variables, terms: Terms) -> Any:
    import gurobipy

    return gurobipy.LinExpr(list(terms.values()), [variables[kind][i, j] for kind, i, j in terms])


def _add_use(model: Any, variables: Variables, numbers: Numbers) -> None:
    """Add one node for each layer, a layer for each node that must be used, and memory."""
    from gurobipy import quicksum

    x = variables["x"]
    for j, hosts in numbers.nodes_of().items():
        model.addConstr(quicksum(x[i, j] for i in hosts) == 1, name=f"one_node[{j}]")
    for i, layers in numbers.layers_of().items():
        if numbers.problem.use_all_nodes:
            model.addConstr(quicksum(x[i, j] for j in layers) >= 1, name=f"used[{i}]")
        model.addConstr(_value(variables, numbers.memory(i)) <= 1, name=f"memory[{i}]")


def _add_runs(
    model: Any, variables: dict[str, dict[tuple[int, int], Any]], numbers: Numbers
) -> None:
    """Add where runs start, and where they end if anything depends on it."""
    from gurobipy import quicksum

    x = variables["x"]
    kinds = [("start", "starts", "one_run", -1)]
    if numbers.has_ends:
        kinds.append(("end", "ends", "one_end", 1))
    for kind, rows, one, step in kinds:
        found = dict(model.addVars(numbers.pairs, ub=1.0, name=kind))
        variables[kind] = found
        for i, j in numbers.pairs:
            beside = x.get((i, j + step), 0.0)
            model.addConstr(found[i, j] >= x[i, j] - beside, name=f"{rows}[{i},{j}]")
        for i, layers in numbers.layers_of().items():
            total = quicksum(found[i, j] for j in layers)
            exactly = kind == "start" and numbers.problem.use_all_nodes
            model.addConstr(total == 1 if exactly else total <= 1, name=f"{one}[{i}]")


def _add_products(model: Any, x: Mapping[tuple[int, int], Any], numbers: Numbers) -> None:
    """Add the corrected Eq. 7."""
    for i, layers in numbers.layers_of().items():
        for k, j in later_pairs(layers):
            product = x[i, j] * (x[i, k - 1] - x.get((i, k), 0.0))
            model.addQConstr(product <= 0, name=f"contiguous[{i},{k},{j}]")


def _add_order(model: Any, x: Mapping[tuple[int, int], Any], numbers: Numbers) -> None:
    """Let nodes follow each other by rising index."""
    from gurobipy import quicksum

    hosts = numbers.nodes_of()
    for i in range(numbers.problem.nodes - 1):
        for j in range(numbers.problem.layers - 1):
            here = quicksum(x[h, j] for h in hosts[j] if h <= i)
            after = quicksum(x[h, j + 1] for h in hosts[j + 1] if h <= i)
            model.addConstr(after <= here, name=f"in_order[{i},{j}]")


def _add_objective(model: Any, variables: Variables, numbers: Numbers) -> None:
    """Minimise the period, Eq. 3, or the epoch."""
    problem = numbers.problem
    if problem.objective == "paper":
        fills = []
        for name, table in (("forward", problem.forward_s), ("backward", problem.backward_s)):
            fill = model.addVar(name=f"fill_{name}")
            for i in range(problem.nodes):
                busy = _value(variables, numbers.computing(i, table))
                model.addConstr(busy <= fill, name=f"{name}_time[{i}]")
            fills.append(fill)
        model.setObjective(fills[0] + fills[1])
        return
    period = model.addVar(name="period")
    for kind, index, terms in numbers.busy():
        model.addConstr(_value(variables, terms) <= period, name=f"{kind}[{index}]")
    if problem.objective == "period":
        model.setObjective(period)
        return
    assert problem.batches is not None  # the problem saw to it
    latency = _value(variables, numbers.latency()) + numbers.owner_time
    model.setObjective(latency + (problem.batches - 1) * period)
