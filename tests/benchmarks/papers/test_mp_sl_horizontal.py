"""MP-SL's printed forms of SplitNN and horizontal scaling, by hand and against the pipeline."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.papers.mp_sl.horizontal import (
    horizontal_aggregation_time,
    node_times,
    paper_node_times,
    paper_split_nn_time,
)
from splitopt.latency import pipeline
from splitopt.latency.pipeline import Stages
from splitopt.latency.precision import double_precision
from splitopt.latency.split_nn import split_nn_time


def test_printed_split_nn_by_hand(three_owners):
    """It counts the first cut's tensors twice: 2 * (0.25 + 0.75) s a batch."""
    node = Stages(np.array([10.0]), np.array([20.0]))
    printed = paper_split_nn_time(node, three_owners, 4, np.array([1.0, 2.0, 3.0]))
    assert printed == pytest.approx(sum(4 * (30 + t + 2.0) for t in (3.5, 7.5, 5.0)) + 6)


def test_printed_split_nn_holds_for_equal_cuts(three_owners):
    """With both cuts of one size the printed form is the right one."""
    node = Stages(np.array([1.0]), np.array([2.0]))
    same = three_owners._replace(from_last_s=0.25, to_last_s=0.75, latency_s=0.1)
    assert split_nn_time(node, same, 3, 0.5) == paper_split_nn_time(node, same, 3, 0.5)


def test_horizontal_nodes_by_hand(three_owners):
    """Node 0 serves owners 0 and 2, node 1 owner 1, node 2 nobody."""
    nodes = Stages(np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 3.0]))
    serves = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]])
    printed = paper_node_times(nodes, three_owners, serves, 4)
    # start and end of owners 0, 1, 2: 4, 8, 5.5
    assert printed == pytest.approx([4.75 + 8 * 2, 8 + 4 * 7, 0])
    # trips: 2 + 3.5 + 1.1875, 2 + 5 + 1.1875; 7 + 7.5 + 1.1875
    exact = node_times(nodes, three_owners, serves, 4)
    assert exact == pytest.approx([4 * 8.1875, 4 * 15.6875, 0])


def test_horizontal_with_one_node_is_the_pipeline_with_one_node(three_owners):
    """Both closed forms agree with those of a chain of one node."""
    node = Stages(np.array([9.0]), np.array([8.0]))
    serves = np.ones((1, 3))
    assert paper_node_times(node, three_owners, serves, 4)[0] == pytest.approx(
        pipeline.paper_training_time(node, three_owners, 12)
    )
    trips = pipeline.trips(node, three_owners)
    assert node_times(node, three_owners, serves, 4)[0] == pytest.approx(
        pipeline.training_time(trips, pipeline.node_period(node), 4)
    )


def test_horizontal_aggregation_by_hand():
    """The nodes' middle parts travel beside the owners' parts."""
    owners, nodes = np.array([1.0, 3.0]), np.array([10.0, 20.0])
    assert horizontal_aggregation_time(owners, nodes, 0.5, owners, nodes) == 2 + 15 + 0.5 + 4 + 30
    without = horizontal_aggregation_time(owners, 0.0, 0.5, owners, 0.0)
    assert without == pipeline.aggregation_time(owners, 0.5, owners)


@pytest.mark.slow
def test_differentiable(three_owners):
    """JAX gives the slopes that follow from the formulas: node 0 ends last."""
    serves = np.array([[1, 0, 1], [0, 1, 0]])

    def last_node(forward):
        return paper_node_times(Stages(forward, forward), three_owners, serves, 4, jnp).max()

    with double_precision():
        slope = np.asarray(jax.grad(last_node)(jnp.array([9.0, 1.0])))
    assert slope == pytest.approx([2 * 8, 0.0])
