"""The cut step: projected gradient descent on each device's own latency."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CutAndResources, Scenario
from splitopt.latency.relaxed import latency_at
from splitopt.solvers.cut_and_resources.dp_mora.cut_step import CutRule, descend

RULE = CutRule(step=0.002, tolerance=1e-9, limit=100_000, scaled=True, clip=False)


@pytest.fixture(scope="module")
def curves():
    return CutAndResources.from_scenario(Scenario.load("dp-mora-resnet18")).curves


def test_descent_ends_where_a_fine_grid_is_lowest(curves):
    """With shares of a tenth, every device ends at the minimum on [1, 9] or at a bound."""
    shares, low, high = np.full((10, 3), 0.1), np.full(10, 0.1), np.full(10, 0.9)
    found, steps = descend(curves, 10, np.full(10, 0.5), shares, low, high, RULE)
    grid = np.linspace(1.0, 9.0, 8001)
    for n in range(10):
        own = {family: np.repeat(rows[n : n + 1], 8001, axis=0) for family, rows in curves.items()}
        values = latency_at(own, grid, np.full((8001, 3), 0.1))
        assert found[n] * 10 == pytest.approx(grid[values.argmin()], abs=2e-3)
    assert 1 < steps < RULE.limit


def test_the_interval_is_kept(curves):
    """Low and high bind where the descent would leave them, also at a huge step."""
    low, high = np.full(10, 0.45), np.full(10, 0.5)
    args = (curves, 10, np.full(10, 0.47), np.full((10, 3), 0.1), low, high)
    for step in (0.01, 1e6):
        found, _ = descend(*args, RULE._replace(step=step))
        assert (found >= low).all()
        assert (found <= high).all()


@pytest.mark.slow
def test_an_endless_zigzag_keeps_the_best_point():
    """On |x - 2| by lines, a constant step never settles; the best visited point is kept."""
    table = {"table": np.array([[[0.0] * 3, [0.0] * 3, [0.0] * 3, [11.0, 10.0, 11.0]]])}
    rule = RULE._replace(step=0.003, limit=500)
    start = (np.array([0.5]), np.full((1, 3), 1.0), np.array([1 / 3]), np.array([1.0]))
    found, steps = descend(table, 3, *start, rule)
    assert steps == 500
    value = latency_at(table, found * 3, np.ones((1, 3)))[0]
    assert value < 10.01


def test_a_jump_to_a_worse_bound_is_not_kept():
    """A step that leaps from the valley at 2 to the bound at 1, where it sticks, is undone."""
    table = {"table": np.array([[[0.0] * 3, [0.0] * 3, [0.0] * 3, [9.0, 1.0, 8.0]]])}
    low, high = np.array([1 / 3]), np.array([1.0])
    rule = RULE._replace(step=10.0, limit=50)
    start = np.array([0.7])
    found, _ = descend(table, 3, start, np.full((1, 3), 1.0), low, high, rule)
    value = latency_at(table, found * 3, np.ones((1, 3)))[0]
    assert value <= latency_at(table, start * 3, np.ones((1, 3)))[0]


def test_seconds_and_own_units_descend_alike(curves):
    """A step in seconds is one in own units divided by the latency at the start."""
    one = {family: rows[:1] for family, rows in curves.items()}
    shares, alpha = np.full((1, 3), 0.1), np.array([0.5])
    unit = latency_at(one, alpha * 10, shares)[0]
    args = (one, 10, alpha, shares, np.array([0.1]), np.array([0.9]))
    own, _ = descend(*args, RULE)
    seconds, _ = descend(*args, RULE._replace(scaled=False, step=RULE.step / unit))
    assert seconds == pytest.approx(own, rel=1e-9)
