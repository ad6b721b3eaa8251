"""Loading what the relaxation of a large fleet needs, before a clock starts."""

from __future__ import annotations

from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.solvers.cut_and_resources.relaxation.grouping import in_tables
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import LARGE, LargeFleet


def load_loops(problem: CutAndResources) -> None:
    """Compile the passes over a large fleet, or load what an earlier process compiled."""
    if not in_tables(problem) and problem.devices * problem.layers > LARGE:
        LargeFleet.of(problem.plain).load()


class LoadsRelaxation:
    """A part of solvers that solve the relaxed problem, at least for its bound."""

    def load(self, problem: CutAndResources) -> None:
        """Compile the passes over a large fleet, or load what an earlier process compiled."""
        load_loops(problem)
