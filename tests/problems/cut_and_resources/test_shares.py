"""The best shares for given cuts, against conic solvers, optimality conditions and differences."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from splitopt.problems.cut_and_resources.shares import allocate_for_makespan, allocate_for_sum


def latencies(alpha, d, shares):
    """Compute the latencies (N,) of shares (N, 3), straight from the definition."""
    total = np.zeros(len(d))
    for n, i in np.argwhere(alpha > 0):
        total[n] += alpha[n, i] ** 2 / shares[n, i]
    return total + d


def draw(seed, decades=1.0, sparse=0.0):
    """Draw roots (N, 3) and device seconds (N,); some roots are zero if sparse."""
    rng = np.random.default_rng(seed)
    devices = int(rng.integers(1, 7))
    alpha = 10 ** rng.uniform(-decades / 4, decades / 4, (devices, 3))
    alpha[rng.random(alpha.shape) < sparse] = 0.0
    return alpha, 10 ** rng.uniform(-decades / 2, decades / 2, devices)


def conic_optimum(alpha, d, objective):
    """Solve for the shares with a conic solver and give the optimal value."""
    share = cp.Variable(alpha.shape, nonneg=True)
    times = [
        d[n] + sum(alpha[n, i] ** 2 * cp.inv_pos(share[n, i]) for i in range(3) if alpha[n, i] > 0)
        for n in range(len(d))
    ]
    value = sum(times) if objective == "sum" else cp.max(cp.hstack(times))
    problem = cp.Problem(cp.Minimize(value), [cp.sum(share, axis=0) <= 1])
    return problem.solve(solver=cp.CLARABEL)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sparse", [0.0, 0.4])
def test_sum_agrees_with_a_conic_solver(seed, sparse):
    """No shares give a smaller sum of latencies."""
    alpha, d = draw(seed, sparse=sparse)
    shares = allocate_for_sum(alpha).shares
    found = latencies(alpha, d, shares).sum()
    assert found == pytest.approx(conic_optimum(alpha, d, "sum"), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sparse", [0.0, 0.4])
def test_makespan_agrees_with_a_conic_solver(seed, sparse):
    """No shares give a smaller largest latency."""
    alpha, d = draw(seed, sparse=sparse)
    shares = allocate_for_makespan(alpha, d).shares
    found = latencies(alpha, d, shares).max()
    assert found == pytest.approx(conic_optimum(alpha, d, "makespan"), rel=1e-6)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("decades", [1.0, 8.0])
@pytest.mark.parametrize("sparse", [0.0, 0.5])
def test_budgets_hold_and_are_used_up(seed, decades, sparse):
    """Every resource that somebody needs is shared out whole, and no more than that."""
    alpha, d = draw(seed, decades, sparse)
    for shares in (allocate_for_sum(alpha).shares, allocate_for_makespan(alpha, d).shares):
        assert (shares[alpha == 0] == 0).all()
        assert (shares[alpha > 0] > 0).all()
        total = shares.sum(axis=0)
        assert (total <= 1).all()
        np.testing.assert_allclose(total[alpha.any(axis=0)], 1.0, rtol=1e-14)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("decades", [1.0, 8.0])
def test_makespan_meets_the_optimality_conditions(seed, decades):
    """All linked devices finish together, and agree on the relative prices of the resources."""
    alpha, d = draw(seed, decades)
    shares = allocate_for_makespan(alpha, d).shares
    times = latencies(alpha, d, shares)
    np.testing.assert_allclose(times, times.max(), rtol=1e-9)
    speed = alpha / shares  # squared, and times the device's multiplier, the price of a resource
    np.testing.assert_allclose(
        speed / speed[:, :1], np.ones((len(d), 1)) * (speed[0] / speed[0, 0])
    )


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("decades", [1.0, 8.0])
@pytest.mark.parametrize("sparse", [0.0, 0.5])
def test_makespan_is_proved_by_the_worth_of_the_resources(seed, decades, sparse):
    """At prices in proportion to their worth, nobody can buy service for a shorter makespan."""
    alpha, d = draw(seed, decades, sparse)
    found = allocate_for_makespan(alpha, d)
    shares, worth = found.shares, found.worth
    makespan = latencies(alpha, d, shares).max()
    if not worth.any():
        assert makespan == d[~alpha.any(axis=1)].max()
        return
    price = worth / worth.sum()
    buyers = alpha @ np.sqrt(price) > 0
    # The cheapest way to be served by a deadline costs (sum_i sqrt(price_i) alpha_i)^2 / time.
    early = makespan * (1 - 1e-9)
    time = early - d[buyers]
    assert (time <= 0).any() or np.sum((alpha[buyers] @ np.sqrt(price)) ** 2 / time) > 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_worth_agrees_with_finite_differences(seed, objective):
    """The worth of a resource is what the optimum loses per relative growth of it."""
    alpha, d = draw(seed)

    def optimum(growth):
        scaled = alpha / np.sqrt(1 + growth)
        if objective == "sum":
            return latencies(scaled, d, allocate_for_sum(scaled).shares).sum()
        return latencies(scaled, d, allocate_for_makespan(scaled, d).shares).max()

    allocate = allocate_for_sum(alpha) if objective == "sum" else allocate_for_makespan(alpha, d)
    for i in range(3):
        step = 1e-5 * np.eye(3)[i]
        slope = (optimum(-step) - optimum(step)) / 2e-5
        assert allocate.worth[i] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_resources_that_nobody_links_are_shared_apart():
    """Two fleets on different resources do not touch each other, and the faster one is idle."""
    alpha = np.array([[1.0, 0, 0], [2, 0, 0], [0, 3, 1], [0, 1, 2]])
    d = np.array([1.0, 2, 3, 1])
    first = latencies(alpha[:2], d[:2], allocate_for_makespan(alpha[:2], d[:2]).shares).max()
    second = latencies(alpha[2:], d[2:], allocate_for_makespan(alpha[2:], d[2:]).shares).max()
    found = allocate_for_makespan(alpha, d)
    shares, worth = found.shares, found.worth
    times = latencies(alpha, d, shares)
    assert times.max() == pytest.approx(max(first, second), rel=1e-12)
    assert second > first
    assert worth[0] == 0
    assert (worth[1:] > 0).all()


def test_an_idle_device_can_decide_the_makespan():
    """A device that needs nothing shared but finishes last sets the makespan; nothing has worth."""
    alpha = np.array([[1.0, 1, 1], [0, 0, 0]])
    d = np.array([0.5, 100.0])
    found = allocate_for_makespan(alpha, d)
    shares, worth = found.shares, found.worth
    assert latencies(alpha, d, shares).max() == 100.0
    assert not worth.any()


def test_nobody_needs_anything():
    """Without needs there are no shares and nothing has worth."""
    for found in (
        allocate_for_sum(np.zeros((3, 3))),
        allocate_for_makespan(np.zeros((3, 3)), np.arange(3.0)),
    ):
        assert not found.shares.any()
        assert not found.worth.any()


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_shares_do_not_depend_on_the_unit_of_time(scale):
    """Seconds or nanoseconds: the shares are the same."""
    alpha, d = draw(3)
    for one, other in (
        (allocate_for_sum(alpha), allocate_for_sum(alpha * np.sqrt(scale))),
        (
            allocate_for_makespan(alpha, d),
            allocate_for_makespan(alpha * np.sqrt(scale), d * scale),
        ),
    ):
        np.testing.assert_allclose(one.shares, other.shares, rtol=1e-10)
        np.testing.assert_allclose(one.worth * scale, other.worth, rtol=1e-10)
