"""A mixed-integer linear program in named variables and rows, and its form in Pyomo and gurobipy.

A problem states its program once; both languages get the same names. A variable is a tuple of its
kind and its index: ``("use", 0, 1, 4)`` stands in the model as ``use[0, 1, 4]``. A row has a name
and an index in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from splitopt.problems.gurobi_environment import silent_environment
from splitopt.results import Decision

Variable = tuple[Any, ...]
Terms = Mapping[Variable, float]
Values = Mapping[Variable, float]
D = TypeVar("D", bound=Decision)


@dataclass(frozen=True)
class Row:
    """``lower <= sum of terms <= upper``."""

    terms: Terms
    lower: float
    upper: float


@dataclass
class LinearProgram:
    """A program to minimise, while it is being written.

    ``binary`` holds the variables that are 0 or 1, ``real`` the lower bounds of the others,
    ``rows`` name -> index -> row, ``objective`` factors and ``constant`` what is added to them.
    """

    name: str
    binary: list[Variable] = field(default_factory=list)
    real: dict[Variable, float] = field(default_factory=dict)
    rows: dict[str, dict[Variable, Row]] = field(default_factory=dict)
    objective: dict[Variable, float] = field(default_factory=dict)
    constant: float = 0.0

    def add_real(self, variable: Variable, lower: float = 0.0) -> Variable:
        """Add a real variable."""
        self.real[variable] = lower
        return variable

    def at_most(self, name: str, index: Variable, terms: Terms, upper: float) -> None:
        """Add a row ``terms <= upper``."""
        self.rows.setdefault(name, {})[index] = Row(terms, -math.inf, upper)

    def equal(self, name: str, index: Variable, terms: Terms, value: float) -> None:
        """Add a row ``terms == value``."""
        self.rows.setdefault(name, {})[index] = Row(terms, value, value)


def plus(*terms: Terms) -> dict[Variable, float]:
    """Add linear expressions."""
    found: dict[Variable, float] = {}
    for part in terms:
        for variable, factor in part.items():
            found[variable] = found.get(variable, 0.0) + factor
    return found


def times(factor: float, terms: Terms) -> dict[Variable, float]:
    """Multiply a linear expression."""
    return {variable: factor * value for variable, value in terms.items()}


@dataclass(frozen=True)
class PyomoProgram(Generic[D]):
    """A ``pyomo.environ.ConcreteModel`` of a program; add own components to `model`.

    Parameters
    ----------
    program
        What it states; every kind of variable and every name of rows is a component of `model`.
    model
        The model.
    read
        Makes a decision of the variables' values.
    """

    program: LinearProgram
    model: Any
    read: Callable[[Values], D]

    def decision(self) -> D | None:
        """Give the decision of the values that a solver loaded last, None where it loaded none."""
        found = {v: getattr(self.model, v[0])[v[1:]] for v in self.program.binary}
        if any(variable.value is None or variable.stale for variable in found.values()):
            return None
        return self.read({name: variable.value for name, variable in found.items()})


@dataclass(frozen=True)
class GurobiProgram(Generic[D]):
    """A ``gurobipy.Model`` of a program; add own constraints to `model`.

    Parameters
    ----------
    program
        What it states; variables and rows bear the names of their tuples, ``use[0,1,4]``.
    model, env
        The model, and its environment, which must live as long as it.
    variables
        The program's variables in the model.
    read
        Makes a decision of the binary variables' values.
    """

    program: LinearProgram
    model: Any
    env: Any
    variables: Mapping[Variable, Any]
    read: Callable[[Values], D]

    def decision(self) -> D | None:
        """Give the decision of the incumbent, None where there is none."""
        if self.model.SolCount == 0:
            return None
        return self.read({name: self.variables[name].X for name in self.program.binary})

    def decision_in_callback(self, inside: Any) -> D:
        """Give the decision of the new solution, inside Gurobi's callback ``MIPSOL``."""
        names = self.program.binary
        values = inside.cbGetSolution([self.variables[name] for name in names])
        return self.read(dict(zip(names, values, strict=True)))


def to_pyomo(program: LinearProgram, read: Callable[[Values], D]) -> PyomoProgram[D]:
    """Write a program as a Pyomo model."""
    import pyomo.environ as pyo

    model = pyo.ConcreteModel(name=program.name)
    kinds: dict[str, list[Variable]] = {}
    for variable in (*program.binary, *program.real):
        kinds.setdefault(variable[0], []).append(variable[1:])
    binary = {variable[0] for variable in program.binary}
    for kind, indices in kinds.items():
        domain = pyo.Binary if kind in binary else pyo.Reals
        model.add_component(kind, pyo.Var(indices, domain=domain))
        if kind not in binary:
            for index in indices:
                lower = program.real[(kind, *index)]
                getattr(model, kind)[index].setlb(lower if math.isfinite(lower) else None)

    def value(terms: Terms) -> Any:
        return sum(factor * getattr(model, v[0])[v[1:]] for v, factor in terms.items())

    for name, rows in program.rows.items():
        made = pyo.Constraint(list(rows))
        model.add_component(name, made)
        for index, row in rows.items():
            least = row.lower if math.isfinite(row.lower) else None
            made.add(index, (least, value(row.terms), row.upper))
    model.objective = pyo.Objective(expr=value(program.objective) + program.constant)
    return PyomoProgram(program, model, read)


def to_gurobi(
    program: LinearProgram, read: Callable[[Values], D], env: Any = None
) -> GurobiProgram[D]:
    """Write a program as a gurobipy model, in a silent environment of its own if `env` is None."""
    import gurobipy

    if env is None:
        env = silent_environment()
    model = gurobipy.Model(program.name, env=env)
    variables = {
        v: model.addVar(vtype=gurobipy.GRB.BINARY, name=_named(v[0], v[1:])) for v in program.binary
    }
    for v, lower in program.real.items():
        variables[v] = model.addVar(lb=lower, name=_named(v[0], v[1:]))

    def value(terms: Terms) -> Any:
        return gurobipy.LinExpr(list(terms.values()), [variables[v] for v in terms])

    for name, rows in program.rows.items():
        for index, row in rows.items():
            sense = "=" if row.lower == row.upper else "<"
            model.addLConstr(value(row.terms), sense, row.upper, name=_named(name, index))
    model.setObjective(value(program.objective) + program.constant)
    model.update()
    return GurobiProgram(program, model, env, variables, read)


def _named(name: str, index: Variable) -> str:
    return f"{name}[{','.join(map(str, index))}]" if index else name
