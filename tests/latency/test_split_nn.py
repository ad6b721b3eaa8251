"""SplitNN by hand, phase by phase."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from splitopt.latency.pipeline import Stages
from splitopt.latency.precision import double_precision
from splitopt.latency.split_nn import split_nn_phases, split_nn_time


def test_split_nn_by_hand(three_owners):
    """Three owners in turn: B (node + own + four transfers) + hand-over."""
    node = Stages(np.array([10.0]), np.array([20.0]))
    own = [3.5, 7.5, 5.0]
    found = split_nn_time(node, three_owners, 4, np.array([1.0, 2.0, 3.0]))
    assert found == pytest.approx(sum(4 * (30 + t + 1.1875) for t in own) + 6)


def test_phases_of_split_nn_by_hand(three_owners):
    """Two nodes, owners with 4, 5 and 6 batches; each phase alone, and their sum."""
    nodes = Stages(np.array([10.0, 1.0]), np.array([20.0, 2.0]))
    owners, batches = three_owners._replace(latency_s=0.5), np.array([4, 5, 6])
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


@pytest.mark.slow
def test_differentiable(three_owners):
    """JAX gives the slopes that follow from the formula: 3 owners, 4 batches, there and back."""

    def epoch(forward):
        return split_nn_time(Stages(forward, forward), three_owners, 4, 1.0, jnp)

    with double_precision():
        slope = np.asarray(jax.grad(epoch)(jnp.array([9.0])))
    assert slope == pytest.approx([2 * 4 * 3])
