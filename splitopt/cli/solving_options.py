"""The flags of a solver's run, shared by the verbs that solve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splitopt.cli import options as shared

RUN_ARGUMENTS = ("solver", "time_limit_s", "rel_gap", "seed")
"""Arguments of `splitopt.solve` that are no options of a solver."""


@dataclass(frozen=True)
class PlacementFlags:
    """Where the work of a solver is done: options of the solvers that spread it."""

    engine: shared.EngineName = None
    workers: shared.Workers = None
    checkpoint: shared.CheckpointFolder = None

    def arguments(self) -> dict[str, Any]:
        """Return the options of the solver; what is not given is left out."""
        found: dict[str, Any] = {}
        if self.engine is not None:
            name, equals, address = self.engine.partition("=")
            found |= {"engine": name, **({"address": address} if equals else {})}
        if self.workers is not None:
            found["workers"] = self.workers
        if self.checkpoint is not None:
            found["checkpoint"] = str(self.checkpoint)
        return found


@dataclass(frozen=True)
class SolverFlags:
    """Which solver, with which options and limits."""

    solver: shared.SolverName = "auto"
    option: shared.SolverOptions = None
    time_limit: shared.TimeLimit = shared.DEFAULT_TIME_LIMIT_S
    gap: shared.RelGap = 1e-9
    seed: shared.Seed = 0

    def arguments(self, place: PlacementFlags) -> dict[str, Any]:
        """Return what `splitopt.solve` and `splitopt.plan` take for these flags."""
        fixed = {
            "solver": self.solver,
            "time_limit_s": self.time_limit,
            "rel_gap": self.gap,
            "seed": self.seed,
        }
        return shared.solver_arguments({**fixed, **place.arguments()}, self.option)
