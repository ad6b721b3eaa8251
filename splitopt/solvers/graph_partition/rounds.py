"""The least round: the tests of T for every number of accelerators and CPUs.

A round of `GraphPartition` is the largest load T times a number of periods that never falls with
more devices. So the best plan with at most a accelerators and c CPUs is one of the least T, and the
best of all is the best of these. A value of T that so many devices do not reach is reached by no
fewer, and by periods it bounds a round; most numbers of devices are settled by what larger ones
failed at, or by one test just below the plan that is known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import FloatArray
from splitopt.problems.graph_partition import GraphPartition
from splitopt.problems.graph_partition.bounds import load_bounds
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.graph_partition.chains import periods_of
from splitopt.solvers.graph_partition.groups import Groups
from splitopt.solvers.graph_partition.reaching import (
    FIRST_STEP,
    JUST_BELOW,
    Fleet,
    Tester,
    propose,
    rounding,
)


def climb_rounds(
    problem: GraphPartition, groups: Groups, tester: Tester, search: Search, highest: float
) -> StopReason:
    """Test loads of the numbers of devices with the least bound until a plan and the bound meet.

    Parameters
    ----------
    highest
        What a load can be at most. Without a plan, numbers of devices that fail it do not have the
        memory.

    Raises
    ------
    InfeasibleError
        Nothing fits the memory.
    """
    whole, slack, step, found = tester.fleet, rounding(groups), FIRST_STEP, False
    periods = periods_of(problem, whole.accelerators, whole.cpus)
    loads = _first_loads(problem, whole)
    while (reason := search.stop()) is None:
        a, c = (int(i) for i in np.unravel_index((periods * loads).argmin(), loads.shape))
        load, known = float(loads[a, c]), search.best is not None
        if np.isinf(load):
            raise InfeasibleError(
                "no partition fits the memory of the accelerators; give them more, take more of "
                "them, or add a CPU, whose memory has no limit"
            )
        search.prove(float(periods[a, c]) * load)
        top = search.objective / float(periods[a, c]) if known else highest
        top -= max(JUST_BELOW * top, 4 * slack) if known else 0.0
        value = top if found or load <= 0 else min(load * (1 + step), top)
        if known and value <= load:  # as close as rounding allows, and no other number is below
            return "converged"
        tester.fleet = replace(whole, accelerators=a, cpus=c)
        answer = tester.test(value + slack)
        if answer.verdict == "stopped":
            if (reason := search.stop()) is None:
                search.message = f"stopped after {tester.pairs:,} pairs of ideals; raise max_pairs"
            return reason or "iterations"
        if answer.device is not None:
            propose(problem, groups, tester.fleet, answer.device, search)
            if search.objective > float(periods[a, c]) * (value + 2 * slack):
                raise AssertionError("a plan of a test is not what the test says")
            found = True  # from now on just below the plan that is known
        else:
            proved = np.inf if not known and value >= top else value
            np.maximum(loads[: a + 1, : c + 1], proved, out=loads[: a + 1, : c + 1])
            step *= 2
    return reason


def _first_loads(problem: GraphPartition, fleet: Fleet) -> FloatArray:
    """Return the cheap bound of every number of accelerators and CPUs; without any, infinite."""
    shape = (fleet.accelerators + 1, fleet.cpus + 1)
    accelerators, cpus = (np.asarray(part, dtype=np.int64) for part in np.indices(shape))
    loads = load_bounds(problem, accelerators, cpus)
    loads[0, 0] = np.inf
    return loads
