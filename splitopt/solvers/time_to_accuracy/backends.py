"""The model with one product by SCIP: small problems, to check the exact solver by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.problems.size import Size
from splitopt.problems.time_to_accuracy import TimeToAccuracy
from splitopt.solvers.backends import solvers


@dataclass(frozen=True)
class PyomoScip(solvers.Limited[TimeToAccuracy], solvers.PyomoScip[TimeToAccuracy]):
    """SCIP through Pyomo."""

    problem: ClassVar[str] = "time_to_accuracy"
    objectives: ClassVar[frozenset[str]] = frozenset(TimeToAccuracy.objectives)

    most_variables: int = 5000

    def size(self, problem: TimeToAccuracy) -> Size:
        """Count variables and rows at most, without building the model."""
        devices, layers = problem.devices, problem.layers
        settings = layers * len(problem.intervals)
        picks = devices * layers * len(problem.batch_sizes)
        rows = 2 + 3 * devices + devices * (layers + len(problem.intervals))
        return Size(picks + settings + 5, rows + settings * (devices + 1), 0, True)
