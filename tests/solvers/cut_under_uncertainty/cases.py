"""Problems for the tests of `saa`."""

from __future__ import annotations

import numpy as np

from splitopt import CutUnderUncertainty
from splitopt.problems.cluster_and_spectrum.data import TIMES


def single(
    works, fixed, samples=200, seed=0, low=0.5, high=1.5, objective="expected", changes=None, **more
):
    """Return a problem of one device: D(v) = fixed[v] + works[v] / f, and f uniform.

    E[1 / f] = log(high / low) / (high - low) is known. `changes` are of the generator.
    """
    zeros = np.zeros((len(works), 1))
    nominal = dict.fromkeys(TIMES, zeros)
    nominal |= {
        "forward_s": np.array(works, dtype=float)[:, None],
        "broadcast_s": np.array(fixed, dtype=float)[:, None],
        "server_s_per_device": np.zeros(len(works)),
        "local_epochs": 1,
        "subcarriers": 1,
        "cluster_sizes": [1],
    }
    generator = {
        "samples": samples,
        "seed": seed,
        "nominal": nominal,
        "nominal_compute": [1.0],
        "compute": {"kind": "uniform", "low": low, "high": high},
    } | (changes or {})
    data = {"cuts": [f"cut-{v}" for v in range(len(works))], "generator": generator, **more}
    return CutUnderUncertainty.from_data(data, objective, "case")


def fleet(seed=0, cuts=3, samples=12, sizes=(2, 2), objective="expected", close=0.3, draws=None):
    """Return a fleet with cuts that are `close` to each other."""
    rng = np.random.default_rng(seed)
    devices = sum(sizes)
    base = {name: rng.uniform(0.5, 2.0, devices) for name in TIMES}
    nominal = {
        name: base[name] * (1 + close * rng.uniform(-1, 1, (cuts, devices))) for name in TIMES
    }
    nominal |= {
        "server_s_per_device": np.zeros(cuts),
        "local_epochs": 2,
        "subcarriers": 3 * max(sizes),
        "cluster_sizes": list(sizes),
    }
    generator = {
        "samples": samples,
        "seed": seed if draws is None else draws,
        "nominal": nominal,
        "nominal_compute": np.ones(devices),
        "compute": {"kind": "normal", "mean": 1.0, "std": 0.4, "low": 0.2},
    }
    data = {"cuts": [f"cut-{v}" for v in range(cuts)], "generator": generator}
    return CutUnderUncertainty.from_data(data, objective, "case")
