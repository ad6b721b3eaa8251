"""Cells stand below the Rockafellar-Uryasev function wherever it may have its minimum."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.solvers.cut_under_uncertainty.confidence.cells import make_cells


def direct(values, t, level):
    """Return t + mean(max(x - t, 0)) / (1 - level), as it is printed."""
    return t + np.maximum(values - t, 0).mean() / (1 - level)


@pytest.mark.one_quick
@pytest.mark.parametrize("level", [0.3, 0.5, 0.9, 0.95])
@pytest.mark.parametrize("loose", [1.0, 1.05, 1.5])
def test_every_cell_is_below_the_function_in_the_mean(level, loose):
    """For 4,000 rounds, at every threshold on a fine grid, and near it at the minimum."""
    rng = np.random.default_rng(0)
    latencies = 1 + rng.exponential(0.3, 4000)
    lower, upper = latencies * 2 / (1 + loose), latencies * 2 * loose / (1 + loose)
    ends = (float(lower.min()), float(upper.max()))
    cells = make_cells(lower, upper, level, 0.01, ends)
    means = cells.values(latencies).mean(axis=1)
    grid = np.linspace(*ends, 3000)
    cell = np.searchsorted(cells.edges, grid, side="right") - 1
    curve = np.array([direct(latencies, t, level) for t in grid])
    assert (cell >= 0).all()
    assert (means[cell] <= curve + 1e-12).all()
    ordered = np.sort(latencies)[::-1]
    tail = ordered[: round((1 - level) * 4000)].mean()  # the CVaR: mean of the worst
    assert tail - 0.012 <= means.min() <= tail + 1e-12


def test_cells_rise_with_the_latency_and_do_not_see_short_rounds():
    """A lower bound in the place of a latency gives less; below the first knot all is the same."""
    rng = np.random.default_rng(1)
    lower = 1 + rng.exponential(0.3, 2000)
    cells = make_cells(lower, 1.2 * lower, 0.9, 0.01, (float(lower.min()), 20.0))
    rising = np.sort(rng.uniform(0.5, 20.0, 400))
    table = cells.values(rising)
    assert (np.diff(table, axis=1) >= -1e-9).all()
    short = rising[rising < cells.known_below]
    assert len(short) > 3
    assert np.ptp(cells.values(short), axis=1).max() == pytest.approx(0.0, abs=1e-12)


def test_a_constant_latency_has_cells_too():
    """No knots, no width: the CVaR is the latency itself."""
    same = np.full(100, 2.0)
    cells = make_cells(same, same, 0.9, 0.0, (2.0, 2.0))
    assert cells.known_below == -np.inf
    assert cells.values(same).mean(axis=1).min() == pytest.approx(2.0)
