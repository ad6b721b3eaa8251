"""Compiling the loops that a problem needs, or loading them, before a clock starts."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from splitopt.problems.pipeline_partition import Links, PipelinePartition
from splitopt.solvers.pipeline_partition.chains.loops import Loops, compiled_loops, loops_for
from splitopt.solvers.pipeline_partition.chains.search import ChainSearch


def loops_ready(problem: PipelinePartition, steps: float | None = None) -> Loops:
    """Return the loops that suit a problem, ready to run.

    Parameters
    ----------
    problem
        What will be solved.
    steps
        Steps of the innermost loops in all, roughly; None for those of one search.
    """
    loops = loops_for(ChainSearch(problem).steps if steps is None else steps)
    if loops is compiled_loops():
        links = "none" if problem.links.costs_nothing else "uniform"
        _load("nic" if problem.links.has_interfaces else links)
    return loops


@cache
def _load(model: str) -> None:
    """Call all loops that problems with such links need, once in this process."""
    links: dict[str, Any] = {"model": model}
    if model != "none":
        links["bandwidth_bytes_per_s"] = 1.0 if model == "uniform" else np.ones(2)
    ones = np.ones((2, 2))
    problem = PipelinePartition(
        ones,
        ones,
        np.ones(2),
        np.full(2, 2.0),
        1,
        "period",
        np.ones(3),
        np.ones(3),
        Links.read(links, 2),
    )
    ChainSearch(problem, compiled_loops()).trip_caps.call_all()
