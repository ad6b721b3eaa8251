"""SplitNN and horizontally scaled parallel split learning, by hand and against the pipeline."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from splitopt.latency import pipeline
from splitopt.latency.horizontal import (
    horizontal_aggregation_time,
    node_times,
    paper_node_times,
)
from splitopt.latency.pipeline import OwnerParts, Stages
from splitopt.latency.precision import double_precision
from splitopt.latency.split_nn import paper_split_nn_time, split_nn_phases, split_nn_time

OWNERS = OwnerParts(
    first_forward_s=np.array([1.0, 3.0, 2.0]),
    last_s=0.5,
    first_backward_s=np.array([2.0, 4.0, 2.5]),
    to_first_s=0.25,
    from_last_s=0.125,
    to_last_s=0.0625,
    from_first_s=0.75,
)


def test_split_nn_by_hand():
    """Three owners in turn: B (node + own + four transfers) + hand-over."""
    node = Stages(np.array([10.0]), np.array([20.0]))
    own = [3.5, 7.5, 5.0]
    found = split_nn_time(node, OWNERS, 4, np.array([1.0, 2.0, 3.0]))
    assert found == pytest.approx(sum(4 * (30 + t + 1.1875) for t in own) + 6)
    printed = paper_split_nn_time(node, OWNERS, 4, np.array([1.0, 2.0, 3.0]))
    assert printed == pytest.approx(sum(4 * (30 + t + 2.0) for t in own) + 6)


def test_phases_of_split_nn_by_hand():
    """Two nodes, owners with 4, 5 and 6 batches; each phase alone, and their sum."""
    nodes = Stages(np.array([10.0, 1.0]), np.array([20.0, 2.0]))
    owners, batches = OWNERS._replace(latency_s=0.5), np.array([4, 5, 6])
    upload, download = np.array([1.0, 2.0, 3.0]), 0.25
    found = split_nn_phases(nodes, owners, batches, upload, download)
    assert found == {
        "first part forward": 4 * 1 + 5 * 3 + 6 * 2,
        "activations": 15 * 0.375,
        "forward": 15 * 11,
        "last part": 15 * 0.5,
        "gradients": 15 * 0.8125,
        "backward": 15 * 22,
        "first part backward": 4 * 2 + 5 * 4 + 6 * 2.5,
        "waiting": 15 * 4 * 0.5 + 3 * 2 * 0.5,
        "parts upload": 6,
        "parts download": 0.75,
    }
    hand_over = upload + download + 2 * 0.5
    assert sum(found.values()) == split_nn_time(nodes, owners, batches, hand_over)


def test_printed_split_nn_holds_for_equal_cuts():
    """With both cuts of one size the printed form is the right one."""
    node = Stages(np.array([1.0]), np.array([2.0]))
    same = OWNERS._replace(from_last_s=0.25, to_last_s=0.75, latency_s=0.1)
    assert split_nn_time(node, same, 3, 0.5) == paper_split_nn_time(node, same, 3, 0.5)


def test_horizontal_nodes_by_hand():
    """Node 0 serves owners 0 and 2, node 1 owner 1, node 2 nobody."""
    nodes = Stages(np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 3.0]))
    serves = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]])
    printed = paper_node_times(nodes, OWNERS, serves, 4)
    # start and end of owners 0, 1, 2: 4, 8, 5.5
    assert printed == pytest.approx([4.75 + 8 * 2, 8 + 4 * 7, 0])
    # trips: 2 + 3.5 + 1.1875, 2 + 5 + 1.1875; 7 + 7.5 + 1.1875
    exact = node_times(nodes, OWNERS, serves, 4)
    assert exact == pytest.approx([4 * 8.1875, 4 * 15.6875, 0])


def test_horizontal_with_one_node_is_the_pipeline_with_one_node():
    """Both closed forms agree with those of a chain of one node."""
    node = Stages(np.array([9.0]), np.array([8.0]))
    serves = np.ones((1, 3))
    assert paper_node_times(node, OWNERS, serves, 4)[0] == pytest.approx(
        pipeline.paper_training_time(node, OWNERS, 12)
    )
    trips = pipeline.trips(node, OWNERS)
    assert node_times(node, OWNERS, serves, 4)[0] == pytest.approx(
        pipeline.training_time(trips, pipeline.node_period(node), 4)
    )


def test_horizontal_aggregation_by_hand():
    """The nodes' middle parts travel beside the owners' parts."""
    owners, nodes = np.array([1.0, 3.0]), np.array([10.0, 20.0])
    assert horizontal_aggregation_time(owners, nodes, 0.5, owners, nodes) == 2 + 15 + 0.5 + 4 + 30
    without = horizontal_aggregation_time(owners, 0.0, 0.5, owners, 0.0)
    assert without == pipeline.aggregation_time(owners, 0.5, owners)


def test_both_are_differentiable():
    """JAX gives the slopes that follow from the formulas."""
    serves = np.array([[1, 0, 1], [0, 1, 0]])

    def both(forward):
        nodes = Stages(forward, forward)
        split_nn = split_nn_time(Stages(forward[:1], forward[:1]), OWNERS, 4, 1.0, jnp)
        return split_nn + paper_node_times(nodes, OWNERS, serves, 4, jnp).max()

    with double_precision():
        slope = np.asarray(jax.grad(both)(jnp.array([9.0, 1.0])))
    assert slope == pytest.approx([2 * 4 * 3 + 2 * 8, 0.0])
