"""Random numbers that depend on the seed and the sample's number, and on nothing else.

Every sample has a generator of its own, so that any worker can draw any sample, in any order, and
more samples never change those before them. Everything that is compared on a sample (all cuts)
sees the same draw: common random numbers.
"""

from __future__ import annotations

import numpy as np

from splitopt.distributions.base import MOST, FloatArray


def generator(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of one place, such as (stream, sample, quantity)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def uniforms(seed: int, key: tuple[int, ...], count: int | tuple[int, ...]) -> FloatArray:
    """Draw `count` uniform numbers strictly between 0 and 1, or an array of that shape."""
    # 53 random bits moved by half a step: neither end is possible, so no quantile is infinite.
    # The largest one would round to 1.
    bits = generator(seed, *key).integers(0, 2**53, count, dtype=np.int64)
    return np.asarray(np.minimum((bits + 0.5) * 2.0**-53, MOST))
