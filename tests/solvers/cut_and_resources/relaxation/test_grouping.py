"""Devices with budgets in classes, without the cuts that no plan can have."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CutAndResources, InfeasibleError
from splitopt.solvers.cut_and_resources.relaxation.grouping import budget_fleet

USE = np.array([[3.0, 1.0], [2.0, 0.0], [5.0, 4.0]])


def problem(*budgets, **changes):
    """Return three devices with two cuts each."""
    tables = np.arange(1.0, 25.0).reshape(4, 3, 2)
    allowed = np.ones((3, 2), dtype=bool)
    return CutAndResources(*tables, allowed, **changes, budgets=list(budgets) or None)


def memory(limit, use=USE, name="memory"):
    return {"name": name, "use": use, "limit": limit}


def test_cuts_that_no_plan_can_have_are_dropped():
    """With everybody else at the least, 5 units, device 0 cannot take 2 more of 6.5."""
    fleet = budget_fleet(problem(memory(6.5)))
    assert np.isfinite(fleet.device_s).tolist() == [[False, True], [False, True], [True, True]]
    assert fleet.use is None  # what is left cannot exceed it
    loose = budget_fleet(problem(memory(8.0), memory(1000.0, name="free")))
    assert loose.budgets == ("memory",)
    np.testing.assert_allclose(loose.use[:, :, 0], USE / 8.0, rtol=1e-8)
    opposed = problem(memory(5.0), memory(5.0, USE[:, ::-1].copy(), "other"))
    with pytest.raises(InfeasibleError, match="no cuts keep all budgets together"):
        budget_fleet(opposed)
