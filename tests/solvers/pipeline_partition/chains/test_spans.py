"""The loops over runs of layers against their definitions, and sums that lose no digits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.solvers.pipeline_partition.chains.alike import kinds_of
from splitopt.solvers.pipeline_partition.chains.layout import chains_of
from splitopt.solvers.pipeline_partition.chains.loops import compiled_loops, plain_loops
from splitopt.solvers.pipeline_partition.chains.state import LINKS, Nodes

VERSIONS = pytest.mark.parametrize(
    "loops", [plain_loops(), compiled_loops()], ids=["plain", "njit"]
)


def draw(seed, kinds=3, layers=7):
    """Draw whole times of two directions (2, K, S), limits (K, S + 1) and two caps."""
    rng = np.random.default_rng(seed)
    times = rng.integers(0, 9, (2, kinds, layers)).astype(float)
    limit = np.minimum(np.arange(layers + 1) + rng.integers(2, 6, (kinds, 1)), layers)
    return times, limit.astype(np.int32), rng.integers(0, 30, 2).astype(float)


def spans_of(loops, tables, limit, caps):
    kinds, width = limit.shape
    sums = np.stack([loops.running_sums(table[None]) for table in tables])
    spans = np.empty((3, kinds, width), dtype=np.int32)
    free, crossings = np.zeros((2, 1, width)), np.empty((2, 1, width), dtype=np.int32)
    ones, cuts = np.ones(kinds), np.zeros((2, width))
    around = loops.longest_runs(sums, limit, np.array(caps), spans[0])
    loops.fill_spans(Nodes(sums, LINKS, ones, cuts), caps[0], free, spans, crossings)
    return spans, around


@VERSIONS
def test_spans_are_the_longest_runs_below_the_caps(loops):
    for seed in range(20):
        times, limit, caps = draw(seed)
        kinds, layers = times.shape[1:]
        (ends, far, near), (below, above) = spans_of(loops, times[:1], limit, caps[:1])
        two, _ = spans_of(loops, times, limit, caps)
        larger, smaller = set(), {0.0}
        for k in range(kinds):
            fits = {}
            for a in range(layers + 1):
                sums = {b: times[0, k, a:b].sum() for b in range(a, limit[k, a] + 1)}
                seconds = {b: times[1, k, a:b].sum() for b in sums}
                assert ends[k, a] == max(b for b in sums if sums[b] <= caps[0])
                assert two[0, k, a] == max(
                    b for b in sums if sums[b] <= caps[0] and seconds[b] <= caps[1]
                )
                smaller |= {value for value in sums.values() if value <= caps[0]}
                larger |= {value for value in sums.values() if value > caps[0]}
                fits[a] = [b for b in sums if b > a and sums[b] <= caps[0]]
            for c in range(layers + 1):
                reached = [b for a in range(c + 1) for b in fits[a]]
                assert far[k, c] == max(reached, default=-1)
                begun = [a for a in fits for b in fits[a] if b >= c]
                assert near[k, c] == min(begun, default=layers + 1)
        assert (below, above) == (max(smaller), min(larger, default=np.inf))


@VERSIONS
@pytest.mark.parametrize("size", [1e-290, 1e-9, 1.0, 1e12, 1e290])
def test_sums_are_exact_to_the_last_bits(loops, size):
    """A slow layer elsewhere, 10^12 times larger, takes no digit away."""
    times = np.random.default_rng(0).uniform(0, size, (2, 3, 50))
    times[0, 1, 7] *= 1e12
    high, low = loops.running_sums(times)
    for k in range(3):
        for a, b in ((0, 50), (3, 4), (10, 40)):
            exact = float(sum(map(Fraction, times[:, k, a:b].ravel().tolist())))
            found = (high[k, b] - high[k, a]) + (low[k, b] - low[k, a])
            assert found == pytest.approx(exact, rel=1e-15, abs=0)


def lay_out(forward, backward, slowest_s=np.inf, **changes):
    nodes, layers = np.shape(forward)
    fields = {"layer_memory_bytes": np.zeros(layers), "node_memory_bytes": np.ones(nodes)}
    problem = PipelinePartition(forward, backward, owners=1, **fields | changes)
    return chains_of(problem, kinds_of(problem), plain_loops(), False, slowest_s)


def test_a_layer_that_is_too_slow_goes_nowhere():
    found = lay_out([[1, 9, 1], [1, 1, 1]], [[1, 9, 1], [1, 1, 1]], slowest_s=10.0)
    assert found.memory_end.tolist() == [[1, 1, 3, 3], [3, 3, 3, 3]]
    assert np.diff(found.sums[0, 0, 0]).tolist() == [2, 0, 2]
    assert found.layer_s.tolist() == [[2, np.inf, 2], [2, 2, 2]]


def test_memory_limits_runs_and_a_huge_layer_does_not_drown_small_ones():
    found = lay_out(
        np.zeros((2, 6)),
        np.zeros((2, 6)),
        layer_memory_bytes=[1, 2, 1e30, 0.1, 0.1, 0.1],
        node_memory_bytes=[0.3, 1e31],
    )
    assert found.memory_end.tolist() == [[0, 1, 2, 6, 6, 6, 6], [6] * 7]
