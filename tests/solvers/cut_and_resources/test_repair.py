"""Cuts that exceed budgets are moved until they keep them."""

from __future__ import annotations

import numpy as np

from splitopt import CutAndResources
from splitopt.solvers.cut_and_resources.repair import repaired

USE = np.array([[3.0, 1.0], [2.0, 0.0], [5.0, 4.0]])


def problem(*budgets, **changes):
    """Return three devices with two cuts each."""
    tables = np.arange(1.0, 25.0).reshape(4, 3, 2)
    allowed = np.ones((3, 2), dtype=bool)
    return CutAndResources(*tables, allowed, **changes, budgets=list(budgets) or None)


def memory(limit, use=USE, name="memory"):
    return {"name": name, "use": use, "limit": limit}


def test_repair_moves_the_cheapest_relief_first():
    """Device 1 frees 2 for 1 s, device 0 frees 2 for 5 s, device 2 frees 1 for 9 s."""
    asked = problem(memory(8.0))
    cost = np.array([[0.0, 5.0], [0.0, 1.0], [0.0, 9.0]])
    start = np.array([1, 1, 1])  # uses 10
    assert repaired(asked, start, cost).tolist() == [1, 2, 1]
    assert repaired(problem(memory(5.0)), start, cost).tolist() == [2, 2, 2]
    assert repaired(problem(memory(4.0)), start, cost) is None
    assert repaired(problem(memory(10.0)), start, cost).tolist() == [1, 1, 1]
