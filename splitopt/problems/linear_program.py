"""A mixed-integer linear program in named variables and rows, and its form in Pyomo and gurobipy.

A problem states its program once; both languages get the same names. A variable is a tuple of its
kind and its index: ``("use", 0, 1, 4)`` stands in the model as ``use[0, 1, 4]``. A row has a name
and an index in the same way.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from splitopt.problems.gurobi_environment import silent_environment
from splitopt.results import Decision

Variable = tuple[Any, ...]
Terms = Mapping[Variable, float]
Products = Mapping[tuple[Variable, Variable], float]
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
    ``products`` holds the terms of rows of products of two variables, whose sum is at most 0.
    """

    name: str
    binary: list[Variable] = field(default_factory=list)
    real: dict[Variable, float] = field(default_factory=dict)
    rows: dict[str, dict[Variable, Row]] = field(default_factory=dict)
    objective: dict[Variable, float] = field(default_factory=dict)
    constant: float = 0.0
    products: dict[str, dict[Variable, Products]] = field(default_factory=dict)

    def add_real(self, variable: Variable, lower: float = 0.0) -> Variable:
        """Add a real variable."""
        self.real[variable] = lower
        return variable

    def at_most(self, name: str, index: Variable, terms: Terms, upper: float) -> None:
        """Add a row ``terms <= upper``."""
        self._add(name, index, Row(terms, -math.inf, upper))

    def equal(self, name: str, index: Variable, terms: Terms, value: float) -> None:
        """Add a row ``terms == value``."""
        self._add(name, index, Row(terms, value, value))

    def _add(self, name: str, index: Variable, row: Row) -> None:
        if row.terms or not row.lower <= 0 <= row.upper:  # 0 <= 1 says nothing
            self.rows.setdefault(name, {})[index] = row


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
    variables
        The program's variables in the model.
    read
        Makes a decision of the binary variables' values.
    """

    program: LinearProgram
    model: Any
    variables: Mapping[Variable, Any]
    read: Callable[[Values], D]

    def decision(self) -> D | None:
        """Return the decision of the values that a solver loaded last, None if it loaded none."""
        found = {name: self.variables[name] for name in self.program.binary}
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
        """Return the decision of the incumbent, None where there is none."""
        if self.model.SolCount == 0:
            return None
        return self.read({name: self.variables[name].X for name in self.program.binary})

    def decision_in_callback(self, inside: Any) -> D:
        """Return the decision of the new solution, inside Gurobi's callback ``MIPSOL``."""
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
    variables: dict[Variable, Any] = {}
    for kind, indices in kinds.items():
        domain = pyo.Binary if kind in binary else pyo.Reals
        made = pyo.Var(domain=domain) if indices == [()] else pyo.Var(indices, domain=domain)
        model.add_component(kind, made)
        for index in indices:
            variables[kind, *index] = made[index] if index else made
    for variable, lower in program.real.items():
        variables[variable].setlb(lower if math.isfinite(lower) else None)

    def value(terms: Terms) -> Any:
        return sum(factor * variables[v] for v, factor in terms.items())

    for name, rows in program.rows.items():
        made = pyo.Constraint(list(rows))
        model.add_component(name, made)
        for index, row in rows.items():
            least = row.lower if math.isfinite(row.lower) else None
            made.add(index, (least, value(row.terms), row.upper))
    for name, products in program.products.items():
        made = pyo.Constraint(list(products))
        model.add_component(name, made)
        for index, terms in products.items():
            made.add(index, _product_sum(variables, terms) <= 0)
    model.objective = pyo.Objective(expr=value(program.objective) + program.constant)
    return PyomoProgram(program, model, variables, read)


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
    for name, products in program.products.items():
        for index, terms in products.items():
            model.addQConstr(_product_sum(variables, terms) <= 0, name=_named(name, index))
    model.setObjective(value(program.objective) + program.constant)
    model.update()
    return GurobiProgram(program, model, env, variables, read)


class StatedOnce(ABC, Generic[D]):
    """A problem that states itself as an integer program once, for both languages."""

    @abstractmethod
    def integer_program(self, unit_s: float) -> tuple[LinearProgram, Callable[[Values], D]]:
        """Return the program in a unit of the objective, and what reads a decision from values."""

    def to_pyomo(self, unit_s: float = 1.0) -> PyomoProgram[D]:
        """Return the integer program as a Pyomo model, see the problem's module `program`.

        Parameters
        ----------
        unit_s
            The model's unit of the objective (s, or of cost); near the objective is best for
            solvers.

        Raises
        ------
        InfeasibleError
            It shows without a search that there is no answer.
        """
        return to_pyomo(*self.integer_program(unit_s))

    def to_gurobi(self, env: Any = None, unit_s: float = 1.0) -> GurobiProgram[D]:
        """Return the integer program as a gurobipy model.

        Parameters
        ----------
        env
            A ``gurobipy.Env``; a silent one by default.
        unit_s
            As for `to_pyomo`, which raises the same errors.
        """
        return to_gurobi(*self.integer_program(unit_s), env)


def _product_sum(variables: Mapping[Variable, Any], terms: Products) -> Any:
    return sum(factor * variables[a] * variables[b] for (a, b), factor in terms.items())


def _named(name: str, index: Variable) -> str:
    return f"{name}[{','.join(map(str, index))}]" if index else name
