"""A sample's draw depends on the seed and its own number only."""

from __future__ import annotations

import numpy as np

from splitopt.distributions import generator, uniforms


def test_a_sample_does_not_depend_on_the_others():
    """Any order and any number of samples gives the same draw for the same number."""
    forward = [uniforms(7, (0, j), 5) for j in range(20)]
    backward = [uniforms(7, (0, j), 5) for j in reversed(range(20))][::-1]
    np.testing.assert_array_equal(forward, backward)
    assert len({tuple(row) for row in forward}) == 20


def test_seeds_and_streams_differ():
    """Another seed, stream or number gives other numbers, all strictly between 0 and 1."""
    rows = [uniforms(seed, key, 1000) for seed in (0, 1) for key in ((0, 0), (0, 1), (1, 0))]
    assert len({tuple(row) for row in rows}) == 6
    assert 0 < np.min(rows) < 0.01
    assert 0.99 < np.max(rows) < 1
    assert abs(np.mean(rows) - 0.5) < 0.02


def test_a_draw_is_what_it_was():
    """The numbers stay the same from release to release: an instance file may state its seed."""
    np.testing.assert_allclose(uniforms(0, (0, 0), 3), PINNED, rtol=1e-15)
    assert generator(1, 2).integers(100) == generator(1, 2).integers(100)


PINNED = [0.5651317655614634, 0.9354331369766711, 0.4798745470825391]


def test_the_ends_of_the_uniform_numbers_are_never_passed(monkeypatch):
    """Not even by the largest and the smallest bits: no quantile is infinite."""
    from splitopt.distributions import LEAST, MOST, sampling

    class Extreme:
        def integers(self, low, high, count, dtype):
            return np.array([low, high - 1], dtype=dtype)

    monkeypatch.setattr(sampling, "generator", lambda *_: Extreme())
    found = sampling.uniforms(0, (0,), 2)
    assert found.tolist() == [LEAST, MOST]
    assert 0 < LEAST < MOST < 1
