"""MP-SL's latency model: numbers by hand, gradients by finite differences, and its corrections."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from splitopt.latency import pipeline
from splitopt.latency.pipeline import Hops, OwnerParts, Stages
from splitopt.latency.pipeline_resources import (
    interface_seconds,
    link_seconds,
    transfer_seconds,
)
from splitopt.latency.precision import double_precision

STAGES = Stages(forward_s=np.array([1.0, 4.0, 2.0]), backward_s=np.array([6.0, 2.0, 3.0]))
HOPS = Hops(
    up_s=np.array([0.5, 0.25]), down_s=np.array([1.0, 0.125]), up_delay_s=0.01, down_delay_s=0.01
)
OWNERS = OwnerParts(
    first_forward_s=np.array([1.0, 3.0]),
    last_s=np.array([0.5, 0.7]),
    first_backward_s=np.array([2.0, 4.0]),
    to_first_s=np.array([0.1, 0.3]),
    from_last_s=np.array([0.2, 0.2]),
    to_last_s=np.array([0.4, 0.4]),
    from_first_s=np.array([0.6, 0.8]),
    latency_s=0.05,
)


def test_equations_1_to_3_by_hand():
    """The slowest node each way; the true period is below their sum as another node is slow."""
    assert pipeline.slowest_forward(STAGES) == 4
    assert pipeline.slowest_backward(STAGES) == 6
    assert pipeline.paper_period(STAGES) == 10
    assert pipeline.node_period(STAGES) == 7  # 7, 6, 5
    assert pipeline.empty_batch(STAGES) == 18


def test_equation_4_by_hand():
    """Start (1.15 + 3.35) / 2, empty 18, 11 batches of 10, end (2.65 + 4.85) / 2."""
    assert pipeline.paper_training_time(STAGES, OWNERS, 12) == pytest.approx(2.25 + 18 + 110 + 3.75)


def test_equation_5_by_hand():
    """Aggregation: an average upload, the averaging, and the downloads one after the other."""
    aggregation = pipeline.aggregation_time(np.array([1.0, 2.0]), 0.25, np.array([3.0, 4.0]))
    assert aggregation == pytest.approx(1.5 + 0.25 + 7)
    assert pipeline.global_epoch(100.0, aggregation) == pytest.approx(108.75)
    assert pipeline.aggregation_time(1.0, 0.25, np.array([3.0, 4.0])) == pytest.approx(8.25)


def test_trip_counts_everything_that_a_batch_passes():
    """Nodes 18, links 1.875 and 4 delays of 0.01, the owner's three parts, 4 transfers."""
    assert pipeline.chain_latency(STAGES, HOPS) == pytest.approx(18 + 1.875 + 0.04)
    own = [1 + 0.5 + 2 + 0.1 + 0.2 + 0.4 + 0.6 + 0.2, 3 + 0.7 + 4 + 0.3 + 0.2 + 0.4 + 0.8 + 0.2]
    found = pipeline.trips(STAGES, OWNERS, HOPS)
    assert found == pytest.approx(np.array(own) + 19.915)
    assert pipeline.trips(STAGES, OWNERS) == pytest.approx(np.array(own) + 18)


def test_closed_form_takes_the_larger_of_both_limits():
    """A full pipeline is paced by its period, an empty one by the slowest owner."""
    trips = np.array([10.0, 14.0])
    assert pipeline.training_time(trips, 7.0, 6) == 12 + 11 * 7
    assert pipeline.training_time(trips, 1.0, 6) == 6 * 14
    assert pipeline.training_time(trips, 9.0, np.array([2, 4])) == 12 + 5 * 9
    assert pipeline.training_time(trips, 1.0, np.array([2, 4])) == 56
    assert pipeline.pipeline_load(trips, 6.0) == 1.0
    assert pipeline.epoch_time(10.0, 7.0, 12) == 87


def test_rent_is_per_hour():
    """1800 s of two machines at 0.18 and 0.046 an hour."""
    assert pipeline.rent(1800.0, [0.18, 0.046]) == pytest.approx(0.113)


def test_transfers_and_busy_times_by_hand():
    """Bytes over rates; no bytes take no time, and no link takes forever."""
    found = transfer_seconds(np.array([0.0, 6.0, 6.0]), np.array([0.0, 2.0, 0.0]))
    assert found.tolist() == [0.0, 3.0, np.inf]
    assert transfer_seconds(6.0, np.inf) == 0
    up, down = np.array([3.0, 1.0]), np.array([2.0, 4.0])
    assert link_seconds(up, down, "full").tolist() == [3, 4]
    assert link_seconds(up, down, "half").tolist() == [5, 5]
    # Two nodes: boundaries owner-first, inner, last-owner.
    up_bytes, down_bytes = np.array([10.0, 20.0, 5.0]), np.array([8.0, 30.0, 2.0])
    bandwidth = np.array([2.0, 4.0])
    # First node: in 10 + 30, out 20 + 8. Last node: in 20 + 2, out 5 + 30.
    full = interface_seconds(up_bytes, down_bytes, bandwidth, "full")
    assert full.tolist() == [20.0, 8.75]
    half = interface_seconds(up_bytes, down_bytes, bandwidth, "half")
    assert half.tolist() == [34.0, 14.25]


def total_time(vector, xp):
    """Return the closed form of a system of 3 nodes and 2 owners, as a function of 26 times."""
    stages = Stages(vector[..., :3], vector[..., 3:6])
    hops = Hops(vector[..., 6:8], vector[..., 8:10], vector[..., 10:12])
    owners = OwnerParts(*(vector[..., 12 + 2 * i : 14 + 2 * i] for i in range(7)), latency_s=0.5)
    trips = pipeline.trips(stages, owners, hops, xp)
    links = link_seconds(hops.up_s, hops.down_s, "full", xp)
    period = xp.maximum(pipeline.node_period(stages), links.max(axis=-1))
    corrected = pipeline.training_time(trips, period, 4, xp)
    return corrected + pipeline.paper_training_time(stages, owners, 8, xp)


@pytest.mark.slow
def test_gradients_are_those_of_finite_differences():
    """JAX differentiates the whole model, vectorised over systems; NumPy gives the same values."""
    points = np.random.default_rng(5).uniform(1.0, 9.0, (4, 26))
    with double_precision():
        value_and_slope = jax.jit(jax.vmap(jax.value_and_grad(lambda v: total_time(v, jnp))))
        values, slopes = map(np.asarray, value_and_slope(points))
    assert values == pytest.approx(total_time(points, np), rel=1e-13)
    width = 1e-6
    for i in range(26):
        step = width * np.eye(26)[i]
        rise = (total_time(points + step, np) - total_time(points - step, np)) / (2 * width)
        assert slopes[:, i] == pytest.approx(rise, abs=1e-6)


@pytest.mark.slow
def test_transfer_slopes_are_finite_without_a_link():
    """The derivative where the rate or the size is 0 is a number, not NaN."""
    with double_precision():
        slope = jax.grad(lambda size, rate: transfer_seconds(size, rate, jnp), argnums=(0, 1))
        assert [float(s) for s in slope(6.0, 2.0)] == [0.5, -1.5]
        assert np.isfinite([float(s) for s in (*slope(0.0, 0.0), *slope(6.0, 0.0))]).all()


def test_paper_model_bounds_the_period():
    """Eq. 3 is never below max (F + B), with equality for one node."""
    rng = np.random.default_rng(0)
    drawn = Stages(*rng.random((2, 100, 4)))
    assert (pipeline.paper_period(drawn) >= pipeline.node_period(drawn)).all()
    single = Stages(*rng.random((2, 100, 1)))
    assert pipeline.paper_period(single) == pytest.approx(pipeline.node_period(single))
