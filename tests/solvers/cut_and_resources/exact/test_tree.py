"""The tree by itself: what it offers, and what it may close."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CutAndResources
from splitopt.solvers.cut_and_resources.exact.space import undecided
from splitopt.solvers.cut_and_resources.exact.tree import Tree
from splitopt.solvers.cut_and_resources.relaxation.grouping import fleet_of
from splitopt.solvers.cut_and_resources.relaxation.measures import EigenvalueMeasure, dyad


@pytest.mark.parametrize("max_listed", [1, 100])
def test_least_cost_at_a_deadline_is_not_the_earliest_deadline(max_listed):
    """A node that offered the plan of least cost stays open for one with an earlier deadline.

    At T = 99 the second cut costs 1 / (99 - 90) and the third 85 / 99, but they can do with
    T = 91 and T = 85.
    """
    shared = np.array([[100.0, 1.0, 85.0]])
    device = np.array([[0.0, 90.0, 0.0]])
    zero = np.zeros((1, 3))
    problem = CutAndResources(shared, zero, zero, device, zero == 0, "makespan")
    fleet = fleet_of(problem)
    plans = []

    def offer(used):
        cuts = fleet.cuts(tree.space.counts(used))
        value = problem.evaluate(problem.complete(cuts))
        better = not plans or value < plans[-1] * (1 - 1e-9)
        if better:
            plans.append(value)
        return better

    space = undecided(fleet, 99.0, dyad(np.array([1.0, 0, 0])), 0.0, 1.0)
    assert space is not None
    tree = Tree(space, EigenvalueMeasure(), 1.0, max_listed, offer, lambda: False)
    tree.open((), dyad(np.array([1.0, 0, 0])))
    while tree.heap:
        tree.space = space.at(fleet, plans[-1] * (1 - 1e-9))
        tree.expand()
    assert plans == pytest.approx([91.0, 85.0])
