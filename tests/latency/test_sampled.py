"""Rounds of many samples: JAX, NumPy and the problem itself agree."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import ClusterAndSpectrum
from splitopt.latency.clustered import padded_clusters
from splitopt.latency.sampled import compiled_rounds, sampled_round_seconds
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.problems.cluster_and_spectrum.problem import TIMES


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("band", [False, True])
def test_all_three_agree(epochs, band):
    """Uneven clusters, a decision of its own for every sample, some zeros."""
    rng = np.random.default_rng(0)
    samples, sizes = 40, (3, 2, 2)
    problems, decisions = [], []
    for _ in range(samples):
        problem = ClusterAndSpectrum(
            **dict(
                zip(TIMES, rng.exponential(1.0, (6, 7)) * (rng.random((6, 7)) > 0.1), strict=True)
            ),
            server_s_per_device=float(rng.random()),
            local_epochs=epochs,
            subcarriers=9,
            cluster_sizes=np.array(sizes),
            device_model_over_full_band=band,
        )
        clusters = np.split(rng.permutation(7), np.cumsum(sizes)[:-1])
        problems.append(problem)
        decisions.append(ClusterAndSpectrumDecision(tuple(clusters), rng.integers(1, 4, 7)))
    terms = np.stack([problem.terms for problem in problems])
    x = np.stack([decision.subcarriers for decision in decisions])
    clusters = np.stack([padded_clusters(decision.clusters) for decision in decisions])
    server = np.array([problem.server_s_per_device for problem in problems])
    expected = [p.evaluate(d) for p, d in zip(problems, decisions, strict=True)]
    arguments = (terms, x, clusters, np.array(sizes), server)
    plain = sampled_round_seconds(*arguments, epochs)
    compiled = compiled_rounds(epochs)(*arguments)
    assert compiled.dtype == np.float64
    np.testing.assert_allclose(plain, expected, rtol=1e-13)
    np.testing.assert_allclose(compiled, plain, rtol=1e-13)
    one = sampled_round_seconds(terms, x[0], clusters[0], np.array(sizes), 0.5, epochs)
    again = compiled_rounds(epochs)(terms, x[0], clusters[0], np.array(sizes), 0.5)
    np.testing.assert_allclose(again, one, rtol=1e-13)
