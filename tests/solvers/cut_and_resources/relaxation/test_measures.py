"""The objectives as functions of a total: values, derivatives and conjugates."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.solvers.cut_and_resources.relaxation.measures import (
    EigenvalueMeasure,
    SumMeasure,
    dyad,
    pack,
    unpack,
)


def random_matrices(seed, number):
    """Draw positive semidefinite matrices, some with equal eigenvalues."""
    rng = np.random.default_rng(seed)
    half = rng.random((number, 3, 3))
    half[: number // 4] *= np.eye(3)
    half[: number // 8] = np.eye(3) * rng.random((number // 8, 1, 1))
    return np.einsum("nij,nkj->nik", half, half)


def test_packing_keeps_inner_products():
    """<A, B> is the inner product of the packed vectors, and unpacking undoes packing."""
    a, b = random_matrices(0, 2)
    assert pack(a) @ pack(b) == pytest.approx(np.sum(a * b))
    np.testing.assert_allclose(unpack(pack(a)), a)
    u = np.array([0.5, 2.0, 3.0])
    np.testing.assert_allclose(unpack(dyad(u)), np.outer(u, u))


@pytest.mark.parametrize("number", [10, 1000])
@pytest.mark.parametrize("sure", [True, False])
def test_smallest_of_many(number, sure):
    """The smallest is found, exactly where that is asked for."""
    matrices = random_matrices(1, number) + np.eye(3)
    values = [max(np.linalg.eigvals(m).real) for m in matrices]
    index, value = EigenvalueMeasure().smallest(pack(matrices), sure)
    assert value == pytest.approx(min(values), rel=1e-12 if sure else 1e-7)
    assert value == pytest.approx(values[index], rel=1e-12)
    totals = np.random.default_rng(0).random((number, 4))
    by_hand = [t[0] ** 2 + t[1] ** 2 + t[2] ** 2 + t[3] for t in totals]
    index, value = SumMeasure().smallest(totals, sure)
    assert (index, value) == (int(np.argmin(by_hand)), pytest.approx(min(by_hand)))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("softness", [0.3, 0.03])
@pytest.mark.parametrize("measure", [SumMeasure(), EigenvalueMeasure()])
def test_derivatives(measure, softness, seed):
    """Gradient and Hessian agree with finite differences, also where eigenvalues meet."""
    rng = np.random.default_rng(seed)
    size = 4 if isinstance(measure, SumMeasure) else 6
    total = rng.random(4) if size == 4 else pack(random_matrices(seed, 8))[seed % 8]
    model = measure.model(total, softness)
    assert model.value == pytest.approx(measure.soft_value(total, softness))
    for i, step in enumerate(1e-6 * np.eye(size)):
        up, down = measure.model(total + step, softness), measure.model(total - step, softness)
        assert model.gradient[i] == pytest.approx((up.value - down.value) / 2e-6, abs=1e-7)
        slope = (up.gradient - down.gradient) / 2e-6
        np.testing.assert_allclose(model.hessian[i], slope, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("measure", [SumMeasure(), EigenvalueMeasure()])
def test_prices_prove_lower_bounds(measure, seed):
    """Constant plus price . total is never above the value, and meets it at the gradient."""
    rng = np.random.default_rng(seed)
    if isinstance(measure, SumMeasure):
        totals, price = rng.random((50, 4)), np.append(rng.normal(size=3), 1.0)
    else:
        totals = pack(random_matrices(seed, 50))
        price = pack(random_matrices(seed + 100, 1)[0])
        price /= price[:3].sum()
    values = measure.values(totals)
    assert (measure.constant(price) + totals @ price <= values + 1e-12).all()
    best = measure.model(totals[-1], 1e-6).gradient
    assert measure.constant(best) + totals[-1] @ best == pytest.approx(values[-1])


def test_soft_value_is_just_above():
    """The rounded-off eigenvalue exceeds the true one by at most softness * log 3."""
    measure = EigenvalueMeasure()
    for total in pack(random_matrices(3, 40)):
        above = measure.soft_value(total, 0.01) - measure.values(total[None])[0]
        assert -1e-12 <= above <= 0.01 * np.log(3) + 1e-12
