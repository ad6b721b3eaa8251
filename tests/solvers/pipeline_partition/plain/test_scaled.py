"""Times as integers: exact for whole numbers, never above the times, and room for every sum."""

from __future__ import annotations

import math

import numpy as np
import pytest

from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.solvers.pipeline_partition.plain.layout import Layout
from splitopt.solvers.pipeline_partition.plain.scaled import Scaled


def scale(forward, backward, reached=math.inf, separate=False, **changes):
    forward = np.atleast_2d(forward).astype(float)
    nodes, layers = forward.shape
    problem = PipelinePartition(
        forward,
        np.atleast_2d(backward).astype(float),
        changes.pop("layer_memory_bytes", np.zeros(layers)),
        changes.pop("node_memory_bytes", np.ones(nodes)),
        1,
    )
    return Scaled.of(Layout.of(problem), reached, separate)


def test_whole_numbers_lose_nothing():
    found = scale([[1, 2, 3]], [[0, 5, 10**9]])
    assert found.seconds(int(found.both[0, -1])) == 10**9 + 11
    assert np.ldexp(found.forward[0].astype(float), -found.shift).tolist() == [0, 1, 3, 6]


@pytest.mark.parametrize("size", [1e-290, 1e-9, 1.0, 1e12, 1e290])
def test_units_are_fine_and_never_above_the_times(size):
    rng = np.random.default_rng(0)
    forward = rng.uniform(0, size, (3, 50))
    found = scale(forward, forward)
    assert 2**58 < found.both.max() < 2**60
    for k in range(3):
        for a, b in ((0, 50), (3, 4), (10, 40)):
            units = found.forward[k, b] - found.forward[k, a]
            exact = math.fsum(forward[k, a:b])
            assert exact * (1 - 1e-12) <= found.seconds(int(units)) <= exact


def test_a_layer_that_is_too_slow_goes_nowhere():
    found = scale([[1, 9, 1], [1, 1, 1]], [[1, 9, 1], [1, 1, 1]], reached=10.0)
    assert found.limit.tolist() == [[1, 1, 3, 3], [3, 3, 3, 3]]
    assert np.diff(found.both[0]).tolist() == [2 * 2**found.shift, 0, 2 * 2**found.shift]
    apart = scale([[1, 9, 1]], [[1, 9, 1]], reached=10.0, separate=True)
    assert apart.limit.tolist() == [[3, 3, 3, 3]]


def test_memory_limits_runs_and_a_huge_layer_does_not_drown_small_ones():
    memory = [1, 2, 1e30, 0.1, 0.1, 0.1]
    found = scale(
        np.zeros((2, 6)),
        np.zeros((2, 6)),
        layer_memory_bytes=memory,
        node_memory_bytes=[0.3, 1e31],
    )
    assert found.limit.tolist() == [[0, 1, 2, 6, 6, 6, 6], [6] * 7]
