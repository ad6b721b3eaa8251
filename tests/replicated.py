"""Scenarios of machines of several types that train one model in replicated stages."""

from __future__ import annotations

import numpy as np

from splitopt.profiles import ModelProfile
from splitopt.profiles.table.provenance import Provenance

FAST = {"name": "fast", "count": 2, "compute": "1 MFLOPS", "rate": "1 Mbps"}
SLOW = {"name": "slow", "compute": "500 kFLOPS", "rate": "500 kbps"}


def scenario(file, *types, **replication):
    """Return a scenario of types of machines for a profile in a file."""
    return {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "replicas",
        "model": {"file": str(file)},
        "replication": {
            "types": list(types or (FAST, SLOW)),
            "batch_size": 2,
            "micro_batches": 6,
            **replication,
        },
    }


def drawn(seed, layers=4, names=None):
    """Draw a small profile of a chain, with ties."""
    rng = np.random.default_rng(seed)
    work = 1e3 * rng.integers(1, 5, layers)
    forward = np.cumsum(work)
    crossing = 100.0 * rng.integers(1, 4, layers)
    crossing[-1] = 0.0
    return ModelProfile(
        name=f"drawn-{seed}",
        layers=tuple(names or (f"layer{v}" for v in range(layers))),
        device_forward_flop=forward,
        device_backward_flop=2 * forward,
        server_forward_flop=forward[-1] - forward,
        server_backward_flop=2 * (forward[-1] - forward),
        smashed_bytes=crossing,
        gradient_bytes=crossing / 2,
        device_model_bytes=np.cumsum(40.0 * rng.integers(1, 9, layers)),
        layer_saved_bytes=100.0 * rng.integers(1, 5, layers),
        work_unit="FLOP",
        provenance=Provenance(kind="computed", source="drawn for a test"),
    )
