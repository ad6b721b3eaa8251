"""Budgets in the relaxed problem: their measure."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.solvers.cut_and_resources.relaxation.budget_measure import BudgetMeasure
from splitopt.solvers.cut_and_resources.relaxation.measures import EigenvalueMeasure, SumMeasure


@pytest.mark.parametrize("inner", [SumMeasure(), EigenvalueMeasure()])
def test_the_gradient_of_the_measure_by_differences(inner):
    """Value, gradient and Hessian of the soft measure agree with central differences."""
    rng = np.random.default_rng(0)
    size = 4 if isinstance(inner, SumMeasure) else 6
    measure = BudgetMeasure(inner, np.array([3.0, 20.0]))
    total = np.concatenate((rng.uniform(0.5, 1, size), [0.98, 1.01]))
    model = measure.model(total, 0.1)
    assert model.value == pytest.approx(measure.soft_value(total, 0.1))
    step = 1e-6
    for i in range(len(total)):
        ahead, back = total.copy(), total.copy()
        ahead[i] += step
        back[i] -= step
        slope = (measure.soft_value(ahead, 0.1) - measure.soft_value(back, 0.1)) / (2 * step)
        assert model.gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-7)
        bend = (measure.model(ahead, 0.1).gradient - measure.model(back, 0.1).gradient) / (2 * step)
        np.testing.assert_allclose(model.hessian[i], bend, rtol=1e-4, atol=1e-5)


def test_the_measure_counts_what_exceeds():
    """Half of a budget too much costs half its weight; sure answers keep the budgets."""
    measure = BudgetMeasure(SumMeasure(), np.array([10.0]))
    totals = np.array([[1.0, 0, 0, 2.0, 1.5], [2.0, 0, 0, 0.0, 1.0], [3.0, 0, 0, 0.0, 0.2]])
    assert measure.values(totals).tolist() == [pytest.approx(3 + 5), 4.0, 9.0]
    assert measure.smallest(totals) == (1, 4.0)
    assert measure.smallest(totals[:1])[1] == np.inf
    price = np.array([4.0, 0, 0, 1.0, 7.0])
    assert measure.constant(price) == -16 / 4 - 7
