"""Small problems with listed samples."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import ClusterAndSpectrum, CutUnderUncertainty
from splitopt.problems.cluster_and_spectrum.data import TIMES


def draw_listed(seed=0, samples=4, cuts=3, sizes=(2, 2), subcarriers=5, epochs=2, **options):
    """Draw a problem of listed samples."""
    rng = np.random.default_rng(seed)
    scenarios = [
        [
            ClusterAndSpectrum(
                **dict(zip(TIMES, rng.exponential(1.0, (6, sum(sizes))), strict=True)),
                server_s_per_device=0.1 * v,
                local_epochs=epochs,
                subcarriers=subcarriers,
                cluster_sizes=np.array(sizes),
            )
            for v in range(cuts)
        ]
        for _ in range(samples)
    ]
    names = [f"layer-{v}" for v in range(cuts)]
    return CutUnderUncertainty.from_scenarios(names, scenarios, **options)


@pytest.fixture
def listed():
    """Return the function that draws such a problem."""
    return draw_listed
