"""Cheapest counts under limits, against trying all counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt.solvers.cut_and_resources.exact.pricing import Limits, cheapest, enforce, tighten


def compositions(total, low, high):
    """Return all counts that add up to a total within limits."""
    ranges = [range(a, b + 1) for a, b in zip(low, high, strict=True)]
    return [np.array(c) for c in itertools.product(*ranges) if sum(c) == total]


def draw(seed):
    """Draw costs, limits and counts of up to four rows; the limits can be met."""
    rng = np.random.default_rng(seed)
    rows, width = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    cost = np.round(rng.random((rows, width)), int(rng.choice([1, 9])))
    part = rng.integers(0, 3, (rows, width))
    low = np.maximum(part - rng.integers(0, 3, part.shape), 0)
    high = part + rng.integers(0, 3, part.shape)
    return rng, cost, low, high, part


@pytest.mark.parametrize("seed", range(50))
def test_cheapest_counts(seed):
    """Filling up the cheap cuts is optimal within the limits of a row."""
    _, cost, low, high, part = draw(seed)
    count = part.sum(axis=1)
    used = cheapest(cost, Limits(low, high), count)
    assert (used >= low).all()
    assert (used <= high).all()
    assert (used.sum(axis=1) == count).all()
    best = sum(
        min(row_cost @ c for c in compositions(m, a, b))
        for row_cost, m, a, b in zip(cost, count, low, high, strict=True)
    )
    assert (cost * used).sum() == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(80))
def test_group_limits(seed):
    """The counts of a group are the cheapest of all that meet its limits, if any do."""
    rng, cost, low, high, part = draw(seed)
    count = part.sum(axis=1)
    least = np.maximum(part.sum(axis=0) - rng.integers(0, 2, part.shape[1]), 0)
    most = part.sum(axis=0) + rng.integers(0, 2, part.shape[1])
    if seed % 4 == 0:
        least = least + 1
    rows = [compositions(m, a, b) for m, a, b in zip(count, low, high, strict=True)]
    sums = [np.array(c) for c in itertools.product(*rows)]
    fitting = [c for c in sums if (c.sum(0) >= least).all() and (c.sum(0) <= most).all()]
    used = cheapest(cost, Limits(low, high), count)
    possible = enforce(cost, used, low, high, least, np.maximum(most, least))
    if seed % 4 == 0:
        fitting = [
            c
            for c in sums
            if (c.sum(0) >= least).all() and (c.sum(0) <= np.maximum(most, least)).all()
        ]
    assert possible == bool(fitting)
    if possible:
        assert (used.sum(axis=1) == count).all()
        assert ((used >= low) & (used <= high)).all()
        assert (used.sum(axis=0) >= least).all()
        assert (used.sum(axis=0) <= np.maximum(most, least)).all()
        best = min((cost * c).sum() for c in fitting)
        assert (cost * used).sum() == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_tighten_keeps_all_counts(seed):
    """Sharper limits exclude no counts, and limits that cannot be met are noticed."""
    _, _, low, high, part = draw(seed)
    count = part.sum(axis=1) + (seed % 3 == 0) * 5
    before = [compositions(m, a, b) for m, a, b in zip(count, low, high, strict=True)]
    possible = tighten(low, high, count)
    assert possible == all(before)
    if possible:
        after = [compositions(m, a, b) for m, a, b in zip(count, low, high, strict=True)]
        assert [len(c) for c in before] == [len(c) for c in after]
