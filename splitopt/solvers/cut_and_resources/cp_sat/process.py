"""The process of CP-SAT: it reads a program as a line of JSON and writes what it finds.

It is run by its path and imports nothing of splitopt: OR-tools and HiGHS, which other parts of
splitopt load, do not live in one process.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ortools.sat.python import cp_model


class Told(cp_model.CpSolverSolutionCallback):  # type: ignore[misc, unused-ignore]
    """Writes the choice of every device whenever a better solution is found."""

    def __init__(self, choices: Any) -> None:
        super().__init__()
        self.choices = choices

    def on_solution_callback(self) -> None:
        """Write the numbers of the chosen columns."""
        chosen = [next(o for o, x in row if self.value(x)) for row in self.choices]
        tell(choice=chosen)


def tell(**content: Any) -> None:
    """Write a line."""
    print(json.dumps(content), flush=True)


def build(program: dict[str, Any]) -> tuple[Any, Any]:
    """Return the model, and the variables by device as pairs of a column and a variable."""
    model = cp_model.CpModel()
    choices = [
        [(o, model.new_bool_var("")) for o, kept in enumerate(row) if kept]
        for row in program["allowed"]
    ]
    for row in choices:
        model.add_exactly_one([x for _, x in row])
    most, terms = program["most"], []
    for table in program["roots"]:
        total = model.new_int_var(0, most, "")
        square = model.new_int_var(0, most * most, "")
        model.add(
            total
            == sum(table[n][o] * x for n, row in enumerate(choices) for o, x in row if table[n][o])
        )
        model.add_multiplication_equality(square, [total, total])
        terms.append(square)
    own = program["own"]
    terms += [own[n][o] * x for n, row in enumerate(choices) for o, x in row if own[n][o]]
    model.minimize(sum(terms))
    for row, first in zip(choices, program["first"], strict=True):
        for o, x in row:
            model.add_hint(x, o == first)
    return model, choices


def main() -> None:
    """Read the program, solve it, and write solutions, the bound and the status."""
    program = json.loads(sys.stdin.readline())
    model, choices = build(program)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = program["threads"]
    solver.parameters.random_seed = program["seed"]
    tell(built=True)
    if program["ends_at"] is not None:
        left = program["ends_at"] - time.time()
        solver.parameters.max_time_in_seconds = max(0.01, left)
    status = solver.solve(model, Told(choices))
    tell(
        status=solver.status_name(status),
        bound=solver.best_objective_bound,
        branches=solver.num_branches,
    )


if __name__ == "__main__":
    main()
